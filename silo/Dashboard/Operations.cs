using System.Globalization;
using System.Net;
using System.Security.Claims;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using IommuFd.Silo.Dashboard.Access;
using IommuFd.Uapi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Dashboard;

// Changes are made by posted forms and nothing else: so they have the forms' protection against forgery, their route requires the
// operator's role, and they work by keyboard and without script. An action runs only if its form says that it was confirmed.

/// <summary>The actions of operators.</summary>
internal sealed class Operations(IContextFinder finder, ILogger<Operations> logger)
{
    public const string Path = "/operate";

    public const string Release = "release", DropDriver = "drop-driver", DropHold = "drop-hold";

    public static void Map(IEndpointRouteBuilder endpoints)
        => endpoints.MapPost(Path, (
                HttpContext context, Operations operations, [FromForm] string tag, [FromForm] string action, [FromForm] string? confirmed, [FromForm] long? reference, [FromForm] long? hold)
            => operations.RunAsync(context, tag, action, confirmed == "yes", new ReferenceId(reference ?? 0), new HoldId(hold ?? 0)))
            .RequireAuthorization(DashboardAccess.Operator);

    private async Task<IResult> RunAsync(HttpContext context, string tagText, string action, bool isConfirmed, ReferenceId reference, HoldId hold)
    {
        var who = $"{context.User.FindFirstValue(ClaimTypes.Name)} ({context.Connection.RemoteIpAddress})";
        OperatorRequest? request = action switch
        {
            Release => new ReleaseContextRequest(who),
            DropDriver => new DropDriverRequest(who, reference),
            DropHold => new DropStuckHoldRequest(who, reference, hold),
            _ => null,
        };
        if (request is null || !isConfirmed || !ContextTag.TryParse(tagText, out var tag))
        {
            return Results.BadRequest();
        }

        if (await finder.FindAsync(tag, context.RequestAborted) is not { } found)
        {
            return Outcome(tag, action, Errno.EBADF);
        }

        // Also logged before the action: if the silo dies in between, the log still has the attempt.
        logger.OperatorActs(who, action, found.Key.Tag, reference.Value, hold.Value);
        var reply = await found.OperateAsync(request);
        logger.OperatorActed(who, action, found.Key.Tag, reply.Errno);
        return Outcome(tag, action, reply.Errno, reply.Release?.Destroyed);
    }

    private static IResult Outcome(ContextTag tag, string action, Errno errno, long? released = null)
        => Results.LocalRedirect(string.Create(CultureInfo.InvariantCulture, $"/contexts/{tag}?did={WebUtility.UrlEncode(action)}&errno={(int)errno}{(released is { } count ? $"&released={count}" : "")}"));
}
