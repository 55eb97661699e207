using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;

namespace IommuFd.Silo.Dashboard.Access;

/// <summary>What a token lets its owner do.</summary>
internal sealed class DashboardAccess(DashboardSettings settings)
{
    /// <summary>The scheme of the framework's cookies: signed and encrypted by keys that live and end with the silo.</summary>
    public const string Scheme = "Dashboard";

    /// <summary>May look.</summary>
    public const string Viewer = "viewer";

    /// <summary>May act, too.</summary>
    public const string Operator = "operator";

    private readonly byte[]? _viewer = DashboardSettings.Digest(settings.Token, settings.TokenFile);
    private readonly byte[]? _operator = DashboardSettings.Digest(settings.OperatorToken, settings.OperatorTokenFile);

    /// <summary>Whether one must sign in before anything is shown.</summary>
    public bool NeedsToken => _viewer is not null;

    /// <summary>Whether anybody can act at all.</summary>
    public bool HasOperators => _operator is not null;

    /// <summary>Who has this token; null where nobody has.</summary>
    /// <param name="token">What was given.</param>
    /// <param name="name">What its owner wants to be called in the log.</param>
    public ClaimsPrincipal? Find(string token, string name)
    {
        var digest = SHA256.HashData(Encoding.UTF8.GetBytes(token));

        // Both are compared, so that the time does not tell which it was.
        var isOperator = _operator is not null & CryptographicOperations.FixedTimeEquals(digest, _operator);
        var isViewer = _viewer is not null & CryptographicOperations.FixedTimeEquals(digest, _viewer);
        return isOperator ? Principal(name, Viewer, Operator) : isViewer ? Principal(name, Viewer) : null;
    }

    /// <summary>Whoever reaches a dashboard that asks for no token.</summary>
    public static ClaimsPrincipal Anybody() => Principal("", Viewer);

    private static ClaimsPrincipal Principal(string name, params string[] roles)
        => new(new ClaimsIdentity([new Claim(ClaimTypes.Name, name), .. roles.Select(role => new Claim(ClaimTypes.Role, role))], Scheme));
}
