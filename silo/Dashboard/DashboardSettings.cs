using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using IommuFd.Silo.Security;

namespace IommuFd.Silo.Dashboard;

// Viewing: on loopback all users of this machine may, unless there is a token; beyond it, only holders of the token. Acting: only holders of the
// operator's token may, wherever they are; without such a token the dashboard is read-only.

/// <summary>Where the dashboard listens and who may use it: the section <c>Dashboard</c> of the configuration.</summary>
public sealed class DashboardSettings : IValidatableObject
{
    public const string Section = "Dashboard";

    /// <summary>Whether there is a dashboard. True by default; a silo inside another process has none unless asked for.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>The IP address that it listens on. Loopback by default; others need a token.</summary>
    [Required]
    public string Address { get; set; } = "127.0.0.1";

    /// <summary>Its port; 0 takes a free one, which the silo prints.</summary>
    [Range(0, 65535)]
    public int Port { get; set; } = 8080;

    /// <summary>
    /// The token that viewers must give. Set it in the environment (<c>Dashboard__Token</c>) or by <see cref="TokenFile"/>, not as an argument.
    /// </summary>
    public string? Token { get; set; }

    /// <summary>The file with the token.</summary>
    public string? TokenFile { get; set; }

    /// <summary>The operator's token, which also lets its holder act: release contexts and drop what is stuck. Without it, no user can.</summary>
    public string? OperatorToken { get; set; }

    /// <summary>The file with the operator's token.</summary>
    public string? OperatorTokenFile { get; set; }

    /// <summary>
    /// Further host names that browsers may use, separated by semicolons: for a proxy. On loopback its own names are always allowed; beyond it
    /// all names are, unless this is set.
    /// </summary>
    public string AllowedHosts { get; set; } = "";

    /// <summary>A certificate, as PFX or PEM, to serve HTTPS with; none by default.</summary>
    public string? CertificatePath { get; set; }

    /// <summary>The certificate's private key, as PEM, if it is in another file.</summary>
    public string? KeyPath { get; set; }

    /// <summary>Whether Orleans' own dashboard is mounted beside it, at <c>/orleans/</c>.</summary>
    public bool Orleans { get; set; } = true;

    /// <summary>Whether Orleans' dashboard shows figures per method. Every call then passes a filter, even without a viewer, so it is off by default.</summary>
    public bool OrleansMethods { get; set; }

    internal bool IsLoopback => IPAddress.TryParse(Address, out var address) && IPAddress.IsLoopback(address);

    internal bool IsSecure => !string.IsNullOrEmpty(CertificatePath);

    internal bool NeedsToken => Digest(Token, TokenFile) is not null;

    internal bool HasOperators => Digest(OperatorToken, OperatorTokenFile) is not null;

    /// <summary>The URL for a browser on this machine.</summary>
    internal string Url => $"{(IsSecure ? "https" : "http")}://{new IPEndPoint(IPAddress.Parse(Address), Port)}/";

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (!Enabled)
        {
            yield break;
        }

        if (!IPAddress.TryParse(Address, out _))
        {
            yield return new ValidationResult($"is '{Address}'; it must be an IP address (0.0.0.0 is every address of this machine)", [nameof(Address)]);
        }
        else if (!IsLoopback && string.IsNullOrEmpty(Token) && string.IsNullOrEmpty(TokenFile))
        {
            yield return new ValidationResult(
                $"is {Address}, which others can reach, so {Section}:{nameof(Token)} or {Section}:{nameof(TokenFile)} must be set too; 127.0.0.1 is for this machine only", [nameof(Address)]);
        }

        foreach (var (name, value, file) in ((string, string?, string?)[])[(nameof(Token), Token, TokenFile), (nameof(OperatorToken), OperatorToken, OperatorTokenFile)])
        {
            if (!string.IsNullOrEmpty(value) && !string.IsNullOrEmpty(file))
            {
                yield return new ValidationResult($"is set, and so is {name}; set only one of them", [$"{name}File"]);
            }
            else if (!string.IsNullOrEmpty(file) && !File.Exists(file))
            {
                yield return new ValidationResult($"is '{file}', but there is no such file", [$"{name}File"]);
            }
            else if (Read(value, file) is { } token && TokenStrength.Problem(token) is { } problem)
            {
                yield return new ValidationResult(problem, [string.IsNullOrEmpty(file) ? name : $"{name}File"]);
            }
        }

        foreach (var (name, path) in ((string, string?)[])[(nameof(CertificatePath), CertificatePath), (nameof(KeyPath), KeyPath)])
        {
            if (!string.IsNullOrEmpty(path) && !File.Exists(path))
            {
                yield return new ValidationResult($"is '{path}', but there is no such file", [name]);
            }
        }
    }

    /// <summary>A token's digest; null without a token. Tokens are compared by digest, in constant time.</summary>
    internal static byte[]? Digest(string? value, string? file) => Read(value, file) is { } token ? SHA256.HashData(Encoding.UTF8.GetBytes(token)) : null;

    private static string? Read(string? value, string? file)
        => !string.IsNullOrEmpty(value) ? value : string.IsNullOrEmpty(file) ? null : File.ReadAllText(file).Trim();
}
