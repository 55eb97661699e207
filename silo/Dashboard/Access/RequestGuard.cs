using System.Net;
using Microsoft.AspNetCore.Http;

namespace IommuFd.Silo.Dashboard.Access;

// A browser sends requests for any page that is open in it, also to loopback. Two things keep other pages out: the name that the request is for must be one of
// ours (else a name of theirs could be made to lead here), and what a page sends from a script, a form or a WebSocket must come from a page of ours.

/// <summary>Refuses what browsers send for the pages of others, and says what browsers may do with ours.</summary>
internal sealed class RequestGuard(DashboardSettings settings)
{
    // Scripts and styles come from here alone; nothing is written into a page that runs.
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'";

    // Orleans' pages set styles of their own, and draw with what their script makes.
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

        // Others are told nothing. With no-referrer browsers would send our own forms as if they came from nowhere, and they could not be told from a stranger's.
        headers["Referrer-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()";
        headers.CacheControl = "no-store";
        if (!IsOurName(request.Host.Host))
        {
            return RefuseAsync(context, $"This dashboard is not reached by that name. {DashboardSettings.Section}:{nameof(DashboardSettings.AllowedHosts)} has further ones.");
        }

        var origin = request.Headers.Origin.ToString();
        return origin.Length > 0 && !string.Equals(origin, $"{request.Scheme}://{request.Host}", StringComparison.OrdinalIgnoreCase)
            ? RefuseAsync(context, "This was sent for another site's page.")
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
