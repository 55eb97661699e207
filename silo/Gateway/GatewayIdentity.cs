using System.Globalization;

namespace IommuFd.Silo.Gateway;

// An identity is one text: its kind, a space, and its name. Quotas count by it, handles are bound to it, and the log shows it. The kind comes from how
// the client has proved who it is, so that no token's name and no certificate's subject can be those of another kind: the token "user 1000" would be
// "token user 1000", and is no valid name besides.

/// <summary>Who a client of the gateway is.</summary>
internal static class GatewayIdentity
{
    private const string User = "user ", Token = "token ", Certificate = "certificate ";

    /// <summary>The longest name that a certificate's subject may have (ub-common-name of X.520).</summary>
    public const int MaxName = 64;

    /// <summary>A user of this machine, as the kernel says.</summary>
    public static string OfUser(int user) => string.Create(CultureInfo.InvariantCulture, $"{User}{user}");

    /// <summary>Who has a token.</summary>
    public static string OfToken(string name) => Token + name;

    /// <summary>Who has a certificate with this common name.</summary>
    public static string OfCertificate(string name) => Certificate + name;

    /// <summary>Whether a text is an identity. It need not exist: other silos may know it, or it may come later.</summary>
    public static bool IsValid(string text)
        => text.StartsWith(User, StringComparison.Ordinal) ? uint.TryParse(text.AsSpan(User.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var user) && text == User + user.ToString(CultureInfo.InvariantCulture)
            : text.StartsWith(Token, StringComparison.Ordinal) ? IsTokenName(text[Token.Length..])
            : text.StartsWith(Certificate, StringComparison.Ordinal) && IsCommonName(text[Certificate.Length..]);

    /// <summary>Whether a token may have this name: small letters, digits and <c>._-</c>. The configuration does not tell capitals from small letters.</summary>
    public static bool IsTokenName(string name)
        => name.Length is > 0 and <= MaxName && name.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '.' or '_' or '-');

    /// <summary>Whether a certificate's common name can stand in a log: printable, and without spaces at its ends.</summary>
    public static bool IsCommonName(string name)
        => name.Length is > 0 and <= MaxName && name == name.Trim() && !name.Any(letter => char.IsControl(letter) || char.GetUnicodeCategory(letter) is UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Surrogate);
}
