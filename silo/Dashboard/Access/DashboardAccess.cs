using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;

namespace IommuFd.Silo.Dashboard.Access;

/// <summary>The roles that tokens grant.</summary>
internal sealed class DashboardAccess(DashboardSettings settings)
{
    /// <summary>The scheme of the framework's cookies: signed and encrypted by keys that last as long as the silo.</summary>
    public const string Scheme = "Dashboard";

    /// <summary>May view.</summary>
    public const string Viewer = "viewer";

    /// <summary>May also act.</summary>
    public const string Operator = "operator";

    private readonly byte[]? _viewer = DashboardSettings.Digest(settings.Token, settings.TokenFile);
    private readonly byte[]? _operator = DashboardSettings.Digest(settings.OperatorToken, settings.OperatorTokenFile);

    /// <summary>Whether viewing requires a token.</summary>
    public bool NeedsToken => _viewer is not null;

    /// <summary>Whether any user can act.</summary>
    public bool HasOperators => _operator is not null;

    /// <summary>The user of a token; null if the token is unknown.</summary>
    /// <param name="token">The token that was given.</param>
    /// <param name="name">The user's name for the log.</param>
    public ClaimsPrincipal? Find(string token, string name)
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
