using System.ComponentModel.DataAnnotations;
using IommuFd.Client;
using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Gateway;

/// <summary>What an operator must not get without having asked for it, and addresses that a client must not use.</summary>
public sealed class RemoteRulesTests
{
    private const string Token = "vX3wq8Zr5NfT1kLm9PbY2cHd";

    private static readonly string AnyFile = Path.Combine(AppContext.BaseDirectory, "operations.md");

    /// <summary>What is set beside a port and a token, and what is wrong with it.</summary>
    internal static readonly (string What, Action<GatewaySettings> Set, string? Problem)[] Cases =
    [
        ("a certificate", settings => settings.CertificatePath = AnyFile, null),
        ("a certificate and every address", settings => (settings.CertificatePath, settings.Listen) = (AnyFile, "0.0.0.0:7443"), null),
        ("a certificate and IPv6", settings => (settings.CertificatePath, settings.Listen) = (AnyFile, "[::1]:7443"), null),
        ("plain loopback that is asked for", settings => settings.AllowUnencrypted = true, null),
        ("plain loopback", _ => { }, "Gateway:Listen: needs a certificate: set Gateway:CertificatePath, or, on loopback, Gateway:AllowUnencrypted=true"),
        ("plain TCP for all that is asked for", settings => (settings.AllowUnencrypted, settings.Listen) = (true, "0.0.0.0:7443"), "Gateway:Listen: is 0.0.0.0:7443, which others can reach, so Gateway:CertificatePath must be set"),
        ("both", settings => (settings.AllowUnencrypted, settings.CertificatePath) = (true, AnyFile), "Gateway:AllowUnencrypted: is true, but CertificatePath encrypts"),
        ("a host's name", settings => settings.Listen = "localhost:7443", "Gateway:Listen: is 'localhost:7443'; it must be ADDRESS:PORT"),
        ("no port", settings => settings.Listen = "127.0.0.1", "Gateway:Listen: is '127.0.0.1'; it must be ADDRESS:PORT"),
        ("no proofs", settings => settings.CertificatePath = AnyFile, "Gateway:Listen: lets nobody in"),
        ("a weak token", settings => (settings.Tokens["b"], settings.AllowUnencrypted) = ("12345678", true), "Gateway:Tokens:b: could be guessed"),
        ("one token for two", settings => (settings.Tokens["b"], settings.AllowUnencrypted) = (Token, true), "Gateway:Tokens: a and b are one token"),
        ("clients' certificates without TLS", settings => (settings.ClientCaPath, settings.AllowUnencrypted) = (AnyFile, true), "Gateway:Listen: asks for clients' certificates, which need TLS"),
        ("a thumbprint of SHA-1", settings => { settings.CertificatePath = AnyFile; settings.ClientThumbprints.Add(new string('a', 40)); }, "Gateway:ClientThumbprints: has 'aaaa"),
        ("no such file", settings => settings.CertificatePath = "/nowhere.pem", "Gateway:CertificatePath: is '/nowhere.pem', but there is no such file"),
        ("no such authority", settings => (settings.CertificatePath, settings.ClientCaPath) = (AnyFile, "/nowhere.pem"), "Gateway:ClientCaPath: is '/nowhere.pem', but there is no such file"),
        ("two passwords", settings => (settings.CertificatePath, settings.Password, settings.PasswordPath) = (AnyFile, "x", AnyFile), "Gateway:PasswordPath: is set, and so is Password"),
        ("no port at all", settings => settings.Listen = null, "Gateway:Tokens: is set, but Gateway:Listen is not"),
    ];

    public static TheoryData<int> Rows => new(Enumerable.Range(0, Cases.Length));

    [Theory]
    [MemberData(nameof(Rows))]
    public void A_port_is_encrypted_and_asks_for_proofs_that_can_not_be_guessed(int row)
    {
        var (what, set, expected) = Cases[row];
        var settings = new GatewaySettings { Listen = "127.0.0.1:7443" };
        if (what != "no proofs")
        {
            settings.Tokens["a"] = Token;
        }

        set(settings);
        var problem = Record.Exception(() => SettingsValidation.Validate(settings, GatewaySettings.Section)) as ValidationException;
        Expect.That(expected is null ? problem is null : problem?.Message.Contains(expected, StringComparison.Ordinal) == true, $"{what}: expected '{expected}', it was '{problem?.Message}'");
        Expect.That(problem?.Message.Contains(Token, StringComparison.Ordinal) != true, "the problem does not show a token");
    }

    [Theory]
    [InlineData("tls://host:7443", true)]
    [InlineData("TLS://[2001:db8::1]:7443", true)]
    [InlineData("tcp://127.0.0.1:7443", true)]
    [InlineData("tcp://localhost:7443/", true)]
    [InlineData("/run/iommufd.sock", true)]
    [InlineData("tcp://192.0.2.1:7443", false)]
    [InlineData("tls://host", false)]
    [InlineData("tls://host:0", false)]
    [InlineData("tls://host:7443/path", false)]
    [InlineData("tls://user:token@host:7443", false)]
    [InlineData("tls://:7443", false)]
    public void A_clients_address_is_a_path_or_TLS_or_plain_loopback(string address, bool isValid)
        => Expect.Equal(isValid, Record.Exception(() => new IommufdClient(address)) is null, $"whether a client takes '{address}'");

    [Fact]
    public void A_token_that_HELLO_can_not_carry_is_refused()
        => Assert.Throws<ArgumentException>(() => new IommufdClient("tls://host:7443", new IommufdClientOptions { Credentials = new GatewayCredentials { Token = new string('x', 1025) } }));

    [Theory]
    [InlineData("user 0", true)]
    [InlineData("user 4294967295", true)]
    [InlineData("token a", true)]
    [InlineData("certificate user 0", true)]
    [InlineData("certificate Zoë B.", true)]
    [InlineData("certificate a ", false)]
    [InlineData("certificate a\u202eb", false)]
    [InlineData("certificate a\u2028b", false)]
    [InlineData("User 0", false)]
    [InlineData("token A", false)]
    [InlineData("user +1", false)]
    public void An_identity_says_its_kind_first(string text, bool isValid) => Expect.Equal(isValid, GatewayIdentity.IsValid(text), $"whether '{text}' is an identity");

    [Fact]
    public void No_identity_of_one_kind_is_one_of_another()
    {
        string[] names = ["1000", "user 1000", "token alice", "certificate alice", "alice"];
        string[] all = [.. names.Select(GatewayIdentity.OfToken), .. names.Select(GatewayIdentity.OfCertificate), GatewayIdentity.OfUser(1000)];

        Expect.Equal(all.Length, all.Distinct().Count(), "different identities");
    }
}
