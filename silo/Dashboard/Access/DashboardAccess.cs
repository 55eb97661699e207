using System.Net;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using IommuFd.Silo.Security;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Dashboard.Access;

/// <summary>The roles that tokens grant.</summary>
internal sealed class DashboardAccess(DashboardSettings settings, TimeProvider time, ILogger<DashboardAccess> logger)
{
    /// <summary>The scheme of the framework's cookies: signed and encrypted by keys that last as long as the silo.</summary>
    public const string Scheme = "Dashboard";

    /// <summary>May view.</summary>
    public const string Viewer = "viewer";

    /// <summary>May also act.</summary>
    public const string Operator = "operator";

    private readonly TokenGuard _guard = new((from, reason, others) => logger.SignInRefused(from, reason, others), time);
    private readonly byte[]? _viewer = DashboardSettings.Digest(settings.Token, settings.TokenFile);
    private readonly byte[]? _operator = DashboardSettings.Digest(settings.OperatorToken, settings.OperatorTokenFile);

    /// <summary>Whether viewing requires a token.</summary>
    public bool NeedsToken => _viewer is not null;

    /// <summary>Whether any user can act.</summary>
    public bool HasOperators => _operator is not null;

    /// <summary>The user of a token; null if the token is unknown, or its address has given too many unknown ones lately.</summary>
    /// <param name="from">The address that it comes from.</param>
    /// <param name="token">The token that was given.</param>
    /// <param name="name">The user's name for the log.</param>
    /// <param name="wait">How long the address must wait.</param>
    public ClaimsPrincipal? Find(IPAddress? from, string token, string name, out TimeSpan wait) => _guard.Find(from, () => Find(token, name), out wait);

    private ClaimsPrincipal? Find(string token, string name)
    {
        var digest = SHA256.HashData(Encoding.UTF8.GetBytes(token));

        // Compares both, so that the time does not reveal which one matched.
        var isOperator = _operator is not null & CryptographicOperations.FixedTimeEquals(digest, _operator);
        var isViewer = _viewer is not null & CryptographicOperations.FixedTimeEquals(digest, _viewer);
        return isOperator ? Principal(name, Viewer, Operator) : isViewer ? Principal(name, Viewer) : null;
    }

    /// <summary>The user of a dashboard that asks for no token.</summary>
    public static ClaimsPrincipal Anybody() => Principal("", Viewer);

    private static ClaimsPrincipal Principal(string name, params string[] roles)
        => new(new ClaimsIdentity([new Claim(ClaimTypes.Name, name), .. roles.Select(role => new Claim(ClaimTypes.Role, role))], Scheme));
}
