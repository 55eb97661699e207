using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace IommuFd.Silo.Dashboard;

// Who may look: on loopback whoever is on this machine, unless there is a token; beyond it only who has the token. Who may act: only who has the
// operator's token, wherever they are. Without one, the dashboard shows and does nothing else.

/// <summary>Where the dashboard is and who may use it: the section <c>Dashboard</c> of the configuration.</summary>
public sealed class DashboardSettings : IValidatableObject
{
    public const string Section = "Dashboard";

    /// <summary>Fewer characters can be guessed.</summary>
    public const int MinTokenLength = 16;

    /// <summary>Whether there is a dashboard. True by default; silos inside another process have none unless asked.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>The IP address that it listens on. Loopback by default; others need a token.</summary>
    [Required]
    public string Address { get; set; } = "127.0.0.1";

    /// <summary>Its port; 0 takes a free one, which the silo prints.</summary>
    [Range(0, 65535)]
    public int Port { get; set; } = 8080;

    /// <summary>What is asked for before anything is shown. Give it in the environment (<c>Dashboard__Token</c>) or by <see cref="TokenFile"/>, not as an argument.</summary>
    public string? Token { get; set; }

    /// <summary>A file that has the token.</summary>
    public string? TokenFile { get; set; }

    /// <summary>What lets its owner act too: release contexts and drop what is stuck. Without it nobody can.</summary>
    public string? OperatorToken { get; set; }

    /// <summary>A file that has the operator's token.</summary>
    public string? OperatorTokenFile { get; set; }

    /// <summary>Further names that browsers may reach it by, separated by semicolons: for a proxy. On loopback the names of loopback always do, beyond it all do unless this is set.</summary>
    public string AllowedHosts { get; set; } = "";

    /// <summary>A certificate, as PFX or PEM, to serve HTTPS with; none by default.</summary>
    public string? CertificatePath { get; set; }

    /// <summary>The certificate's private key, as PEM, where it is not in its file.</summary>
    public string? KeyPath { get; set; }

    /// <summary>Whether Orleans' own dashboard is mounted beside it, at <c>/orleans/</c>.</summary>
    public bool Orleans { get; set; } = true;

    /// <summary>Whether Orleans' dashboard has figures of each method too. Every call then passes a filter, also while nobody looks, so it is off by default.</summary>
    public bool OrleansMethods { get; set; }

    internal bool IsLoopback => IPAddress.TryParse(Address, out var address) && IPAddress.IsLoopback(address);

    internal bool IsSecure => !string.IsNullOrEmpty(CertificatePath);

    internal bool NeedsToken => Digest(Token, TokenFile) is not null;

    internal bool HasOperators => Digest(OperatorToken, OperatorTokenFile) is not null;

    /// <summary>Where a browser on this machine finds it.</summary>
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
            yield return new ValidationResult($"is '{Address}', it must be an IP address; 0.0.0.0 is every address of this machine", [nameof(Address)]);
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
                yield return new ValidationResult($"and {name} are both set", [$"{name}File"]);
            }
            else if (!string.IsNullOrEmpty(file) && !File.Exists(file))
            {
                yield return new ValidationResult($"is '{file}', which is no file", [$"{name}File"]);
            }
            else if (Read(value, file) is { Length: < MinTokenLength } token)
            {
                yield return new ValidationResult($"has {token.Length} characters, it must have at least {MinTokenLength}: head -c 18 /dev/urandom | base64", [string.IsNullOrEmpty(file) ? name : $"{name}File"]);
            }
        }

        foreach (var (name, path) in ((string, string?)[])[(nameof(CertificatePath), CertificatePath), (nameof(KeyPath), KeyPath)])
        {
            if (!string.IsNullOrEmpty(path) && !File.Exists(path))
            {
                yield return new ValidationResult($"is '{path}', which is no file", [name]);
            }
        }
    }

    /// <summary>The digest of a token; null where there is none. Tokens are compared by their digests, in the same time whatever they have in common.</summary>
    internal static byte[]? Digest(string? value, string? file) => Read(value, file) is { } token ? SHA256.HashData(Encoding.UTF8.GetBytes(token)) : null;

    private static string? Read(string? value, string? file)
        => !string.IsNullOrEmpty(value) ? value : string.IsNullOrEmpty(file) ? null : File.ReadAllText(file).Trim();
}
