using System.Security.Cryptography;
using System.Text;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Silo.Security;

namespace IommuFd.Silo.Gateway.Remote;

// A token is random bytes as text, so that its SHA-256 can't be undone and needs no salt. The settings may have the hash instead of the token.

/// <summary>The tokens that clients may give, each by its hash.</summary>
internal sealed class TokenTable
{
    private const string HashPrefix = "sha256:";

    private readonly (string Identity, byte[] Hash)[] _entries;

    /// <param name="tokens">The names and values of settings that have no <see cref="Problem"/>.</param>
    public TokenTable(IEnumerable<KeyValuePair<string, string?>> tokens) => _entries = [.. tokens.Select(token => (GatewayIdentity.OfToken(token.Key), HashOf(token.Value!)))];

    /// <summary>Whose token it is; null for nobody's. Takes as long for each.</summary>
    public string? IdentityOf(string token)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(token));
        string? identity = null;
        foreach (var entry in _entries)
        {
            identity = CryptographicOperations.FixedTimeEquals(hash, entry.Hash) ? entry.Identity : identity;
        }

        return identity;
    }

    /// <summary>What is wrong with a token of the settings; null for nothing. It does not show the token.</summary>
    public static string? Problem(string name, string? value)
    {
        if (!GatewayIdentity.IsTokenName(name))
        {
            return $"a token's name has 1 to {GatewayIdentity.MaxName} small letters, digits, '.', '_' and '-'";
        }

        if (string.IsNullOrEmpty(value))
        {
            return "is empty";
        }

        if (value.StartsWith(HashPrefix, StringComparison.Ordinal))
        {
            return value.Length == HashPrefix.Length + (2 * SHA256.HashSizeInBytes) && value.AsSpan(HashPrefix.Length).ToString().All(char.IsAsciiHexDigit) ? null
                : $"is no SHA-256: {HashPrefix} and 64 hexadecimal digits. To make one: printf %s TOKEN | sha256sum";
        }

        return value.Any(letter => letter is <= ' ' or > '~') || value.Length > Hello.MaxToken
            ? $"must have at most {Hello.MaxToken} characters, all of them visible ASCII"
            : TokenStrength.Problem(value);
    }

    /// <summary>The names that have one token among them: of whom it says nothing.</summary>
    public static IEnumerable<string[]> Shared(IEnumerable<KeyValuePair<string, string?>> tokens)
        => tokens.GroupBy(token => Convert.ToHexString(HashOf(token.Value!)), token => token.Key).Where(group => group.Count() > 1).Select(group => group.ToArray());

    private static byte[] HashOf(string value) => value.StartsWith(HashPrefix, StringComparison.Ordinal)
        ? Convert.FromHexString(value.AsSpan(HashPrefix.Length))
        : SHA256.HashData(Encoding.UTF8.GetBytes(value));
}
