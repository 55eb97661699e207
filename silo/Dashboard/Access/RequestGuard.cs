using System.Net;
using IommuFd.Silo.Dashboard.Health;
using Microsoft.AspNetCore.Http;

namespace IommuFd.Silo.Dashboard.Access;

// A browser sends requests for every page that is open in it, to loopback too. Two checks keep other sites' pages out: the request's host name
// must be one of ours (else another site could point its own name here), and what a page sends by script, form or WebSocket must come from a
// page of ours.

/// <summary>Rejects what browsers send for other sites' pages, and tells browsers what our own pages may do.</summary>
internal sealed class RequestGuard(DashboardSettings settings)
{
    // Scripts and styles come from this server alone; no inline code runs.
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'";

    // Orleans' pages set inline styles from their script, and load fonts as data.
    private const string OrleansPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'self'; frame-ancestors 'none'";

    private readonly HashSet<string> _hosts = new(settings.AllowedHosts.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries), StringComparer.OrdinalIgnoreCase);

    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var request = context.Request;
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = request.Path.StartsWithSegments(OrleansMount.Path) ? OrleansPolicy : Policy;
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";

        // Other sites get no referrer. With no-referrer, browsers would send our own forms with a null origin too, like a stranger's.
        headers["Referrer-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()";
        headers.CacheControl = "no-store";

        // Orchestrators ask by whatever name or address they know, and hear nothing that is worth another site's while.
        if (Probe.IsAt(request.Path))
        {
            return next(context);
        }

        if (!IsOurName(request.Host.Host))
        {
            return RefuseAsync(context, $"This dashboard does not answer to that host name. To allow it, add it to {DashboardSettings.Section}:{nameof(DashboardSettings.AllowedHosts)}.");
        }

        var origin = request.Headers.Origin.ToString();
        return origin.Length > 0 && !string.Equals(origin, $"{request.Scheme}://{request.Host}", StringComparison.OrdinalIgnoreCase)
            ? RefuseAsync(context, "Rejected: the request comes from another site's page.")
            : next(context);
    }

    private bool IsOurName(string host)
        => _hosts.Contains(host)
            || (settings.IsLoopback
                ? string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address))
                : _hosts.Count == 0);

    private static Task RefuseAsync(HttpContext context, string why)
    {
        context.Response.StatusCode = StatusCodes.Status400BadRequest;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(why, context.RequestAborted);
    }
}
