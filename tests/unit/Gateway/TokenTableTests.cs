using System.Security.Cryptography;
using IommuFd.Silo.Gateway.Remote;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Gateway;

/// <summary>Tokens of the settings: whose they are, and which are refused.</summary>
public sealed class TokenTableTests
{
    private const string Good = "vX3wq8Zr5NfT1kLm9PbY2cHd";

    [Fact]
    public void A_token_is_known_by_itself_and_by_its_hash_and_no_other_is()
    {
        const string Other = "00112233445566778899aabbccddeeff";
        var table = new TokenTable([new("alice", Good), new("bob", $"sha256:{Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Other))).ToLowerInvariant()}")]);

        Expect.Equal("token alice", table.IdentityOf(Good), "whose the first is");
        Expect.Equal("token bob", table.IdentityOf(Other), "whose the second is");
        foreach (var wrong in (string[])["", " ", Good[1..], Good + "x", Good.ToLowerInvariant(), Other.ToUpperInvariant(), $"sha256:{Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Good)))}"])
        {
            Expect.Equal(null, table.IdentityOf(wrong), $"whose '{wrong}' is");
        }
    }

    [Theory]
    [InlineData("alice", Good, null)]
    [InlineData("build-server.2_a", Good, null)]
    [InlineData("alice", "00112233445566778899aabbccddeeff", null)]
    [InlineData("alice", "MDEyMzQ1Njc4OWFiY2RlZg", null)]
    [InlineData("alice", null, "is empty")]
    [InlineData("alice", "", "is empty")]
    [InlineData("alice", "secret", "could be guessed")]
    [InlineData("alice", "MDEyMzQ1Njc4OWFiY2RlZ", "could be guessed")]
    [InlineData("alice", "00112233445566778899aabbccddee", "could be guessed")]
    [InlineData("alice", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "could be guessed")]
    [InlineData("alice", "abcabcabcabcabcabcabcabcabcabcabcabc", "could be guessed")]
    [InlineData("alice", "vX3wq8Zr5NfT1kLm 9PbY2cHd", "visible ASCII")]
    [InlineData("alice", "vX3wq8Zr5NfT1kLm9PbY2cHü", "visible ASCII")]
    [InlineData("alice", "sha256:1234", "is no SHA-256")]
    [InlineData("alice", "sha256:gg112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "is no SHA-256")]
    [InlineData("Alice", Good, "a token's name")]
    [InlineData("", Good, "a token's name")]
    [InlineData("user 1000", Good, "a token's name")]
    [InlineData("a\nb", Good, "a token's name")]
    public void What_is_weak_or_no_token_is_refused_with_what_to_do(string name, string? value, string? problem)
    {
        var found = TokenTable.Problem(name, value);
        Expect.That(problem is null ? found is null : found?.Contains(problem, StringComparison.Ordinal) == true, $"'{name}' with '{value}' is refused because '{problem}', it was '{found}'");
        Expect.That(string.IsNullOrEmpty(value) || found?.Contains(value, StringComparison.Ordinal) != true, "the problem does not show the token");
    }

    [Fact]
    public void A_token_with_a_name_of_65_or_of_1025_characters_is_refused()
    {
        Expect.Equal(null, TokenTable.Problem(new string('a', 64), Good), "a name of 64");
        Expect.That(TokenTable.Problem(new string('a', 65), Good) is not null, "a name of 65 is refused");
        var long1024 = string.Concat(Enumerable.Repeat("0123456789abcdef", 64));
        Expect.Equal(null, TokenTable.Problem("a", long1024), "a token of 1,024");
        Expect.That(TokenTable.Problem("a", long1024 + "0") is not null, "a token of 1,025 is refused");
    }

    [Fact]
    public void One_token_of_two_names_is_found_also_by_its_hash()
        => Expect.Sequence(
            ["a b"],
            TokenTable.Shared([new("a", Good), new("b", $"sha256:{Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Good)))}"), new("c", Good + "x")]).Select(names => string.Join(' ', names)),
            "names that share a token");
}
