using System.Net;
using System.Security.Claims;
using IommuFd.Silo.Dashboard.Health;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Dashboard.Access;

// A person gives a token once, in a form, and has a cookie from then on; a script sends the token with each request (Authorization: Bearer). If
// no token is required, every user is a viewer.

/// <summary>Signs users in by token.</summary>
internal static class SignIn
{
    public const string Path = "/sign-in";

    public const string SignOutPath = "/sign-out";

    private const string Bearer = "Bearer ";

    private const int MaxName = 64, MaxPath = 2048;

    public static void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapPost(Path, PostAsync).AllowAnonymous();
        endpoints.MapPost(SignOutPath, async (HttpContext context, [FromForm] string? _) =>
        {
            await context.SignOutAsync(DashboardAccess.Scheme);
            return Results.LocalRedirect("/");
        }).AllowAnonymous();
    }

    /// <summary>Identifies the user by a bearer token or, without token and cookie, as a viewer if no token is required.</summary>
    public static Task RecogniseAsync(HttpContext context, RequestDelegate next)
    {
        var access = context.RequestServices.GetRequiredService<DashboardAccess>();
        var authorization = context.Request.Headers.Authorization.ToString();
        if (Probe.IsAt(context.Request.Path))
        {
            // Nobody is asked there, and so nobody can guess.
        }
        else if (authorization.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase))
        {
            context.User = access.Find(context.Connection.RemoteIpAddress, authorization[Bearer.Length..].Trim(), "", out var wait) ?? new ClaimsPrincipal();
            if (wait > TimeSpan.Zero)
            {
                context.Response.StatusCode = StatusCodes.Status429TooManyRequests;
                context.Response.Headers.RetryAfter = Seconds(wait);
                return Task.CompletedTask;
            }
        }
        else if (context.User.Identity?.IsAuthenticated != true && !access.NeedsToken)
        {
            context.User = DashboardAccess.Anybody();
        }

        return next(context);
    }

    /// <summary>Redirects a page to the sign-in form; anything else gets 401, or 403 if its user is signed in.</summary>
    public static Task ChallengeAsync(RedirectContext<CookieAuthenticationOptions> redirect)
    {
        var request = redirect.Request;
        var isPage = HttpMethods.IsGet(request.Method) && request.Headers.Accept.ToString().Contains("text/html", StringComparison.Ordinal);
        if (isPage)
        {
            redirect.Response.Redirect($"{Path}?to={WebUtility.UrlEncode(request.Path + request.QueryString)}");
        }
        else
        {
            redirect.Response.StatusCode = request.HttpContext.User.Identity?.IsAuthenticated == true ? StatusCodes.Status403Forbidden : StatusCodes.Status401Unauthorized;
        }

        return Task.CompletedTask;
    }

    private static async Task<IResult> PostAsync(HttpContext context, DashboardAccess access, ILoggerFactory logs, [FromForm] string token, [FromForm] string? name, [FromForm] string? to)
    {
        var who = Clean(name);
        var from = context.Connection.RemoteIpAddress?.ToString() ?? "";
        var logger = logs.CreateLogger(typeof(SignIn).FullName!);
        if (access.Find(context.Connection.RemoteIpAddress, token.Trim(), who, out var wait) is not { } principal)
        {
            return Results.LocalRedirect($"{Path}?refused={(wait > TimeSpan.Zero ? $"wait-{Seconds(wait)}" : "1")}&to={WebUtility.UrlEncode(Local(to))}");
        }

        logger.SignedIn(who, principal.IsInRole(DashboardAccess.Operator) ? DashboardAccess.Operator : DashboardAccess.Viewer, from);
        await context.SignInAsync(DashboardAccess.Scheme, principal);
        return Results.LocalRedirect(Local(to));
    }

    /// <summary>A path on this server, never another site's URL. A header has no room for other characters than those that URLs have, and browsers encode the rest.</summary>
    private static string Local(string? path)
        => path is { Length: > 1 and <= MaxPath } && path[0] == '/' && path[1] is not ('/' or '\\') && !path.StartsWith(Path, StringComparison.OrdinalIgnoreCase)
            && path.All(letter => letter is > ' ' and <= '~') ? path : "/";

    private static string Seconds(TimeSpan wait) => ((int)Math.Ceiling(wait.TotalSeconds)).ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static string Clean(string? name)
    {
        var clean = new string([.. (name ?? "").Where(character => !char.IsControl(character)).Take(MaxName)]).Trim();
        return clean.Length == 0 ? "anonymous" : clean;
    }
}
