using IommuFd.Silo.Dashboard.Health;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Silo.Dashboard.Access;

/// <summary>Serves pages only while the silo's grains can be called: from the end of its start until it begins to leave. What is asked of its health is answered at any time.</summary>
internal sealed class OpeningHours(IHostApplicationLifetime silo)
{
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (Probe.IsAt(context.Request.Path))
        {
            await next(context);
            return;
        }

        if (Closed() is { } why)
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            context.Response.ContentType = "text/plain; charset=utf-8";
            await context.Response.WriteAsync(why, context.RequestAborted);
            return;
        }

        // A page's connection would keep asking grains while the silo leaves. Other requests end by themselves.
        using var closing = context.WebSockets.IsWebSocketRequest ? silo.ApplicationStopping.Register(context.Abort) : default;
        await next(context);
    }

    private string? Closed()
        => silo.ApplicationStopping.IsCancellationRequested ? "This silo is leaving."
        : silo.ApplicationStarted.IsCancellationRequested ? null
        : "This silo is starting.";
}
