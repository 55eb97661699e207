namespace IommuFd.Silo.Security;

/// <summary>Whether a token could be guessed.</summary>
internal static class TokenStrength
{
    // 16 bytes have 22 digits in base64 and 32 in hexadecimal. Of 16 random bytes, fewer than 8 different digits are as good as impossible.
    private const int MinLength = 22, MinHexLength = 32, MinDifferent = 8;

    /// <summary>What is wrong with a token that could be guessed; null for one that could not. It does not show the token.</summary>
    public static string? Problem(string token)
        => token.Length < MinLength || token.Distinct().Count() < MinDifferent || (token.Length < MinHexLength && token.All(char.IsAsciiHexDigit))
            ? "could be guessed: a token is the text of at least 16 random bytes. To make one: head -c 24 /dev/urandom | base64"
            : null;
}
