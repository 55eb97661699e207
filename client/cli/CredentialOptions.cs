using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Security.Cryptography.X509Certificates;
using IommuFd.Client;
using IommuFd.Silo.Security;

namespace IommuFd.Cli;

// Other users of the machine can read a command line, so no secret is an option.

/// <summary>The options that say who a command is for a gateway by TCP, and whom it trusts.</summary>
internal static class CredentialOptions
{
    /// <summary>The environment variable that has the token.</summary>
    public const string TokenVariable = "IOMMUFD_TOKEN";

    private const string TlsPasswordVariable = "IOMMUFD_TLS_PASSWORD";

    private static readonly Option<string?> TokenFileOption = new("--token-file")
    {
        Description = $"The file with the token for a gateway by TCP (tls://). Without it: the environment variable {TokenVariable}.",
    };

    private static readonly Option<string?> CaOption = new("--tls-ca") { Description = "PEM file with the certificate authority of the silos' certificates. Switches TLS on for Orleans' ports." };

    private static readonly Option<string?> CertificateOption = new("--tls-certificate")
    {
        Description = $"This client's certificate, as PFX or PEM. Switches TLS on for Orleans' ports. The environment variable {TlsPasswordVariable} contains its password, if it has one.",
    };

    private static readonly Option<string?> KeyOption = new("--tls-key") { Description = "PEM file with the certificate's private key, if the certificate's file does not contain it." };

    private static readonly Option<string?> ServerNameOption = new("--tls-server-name")
    {
        Description = "The name that the silos' certificates are issued to. By default iommufd; for a gateway by TCP, the host of its URL.",
    };

    /// <summary>All of them.</summary>
    public static Option[] All => [TokenFileOption, CaOption, CertificateOption, KeyOption, ServerNameOption];

    /// <summary>Whether the options name an authority or a certificate, which switches TLS on for Orleans' ports.</summary>
    public static bool UsesTls(ParseResult options) => options.GetValue(CaOption) is not null || HasCertificate(options);

    /// <summary>Whether a certificate says who this client is.</summary>
    public static bool HasCertificate(ParseResult options) => options.GetValue(CertificateOption) is not null;

    /// <summary>The name that the silos' certificates are issued to; null if the options name none.</summary>
    public static string? ServerNameOf(ParseResult options) => options.GetValue(ServerNameOption);

    /// <summary>This client's certificate, or null.</summary>
    public static X509Certificate2? CertificateOf(ParseResult options)
        => FileOf(options, CertificateOption) is { } path ? Certificates.Load(path, FileOf(options, KeyOption), Environment.GetEnvironmentVariable(TlsPasswordVariable)) : null;

    /// <summary>The authorities to trust; null for the system's.</summary>
    public static X509Certificate2Collection? AuthoritiesOf(ParseResult options) => FileOf(options, CaOption) is { } path ? Certificates.LoadAuthorities(path) : null;

    /// <summary>What a gateway by TCP gets and has to show.</summary>
    public static GatewayCredentials Of(ParseResult options)
    {
        try
        {
            return new GatewayCredentials { Token = TokenOf(options), Certificate = CertificateOf(options), Authorities = AuthoritiesOf(options), ServerName = ServerNameOf(options) };
        }
        catch (ValidationException exception)
        {
            throw new CliException(exception.Message);
        }
    }

    private static string? TokenOf(ParseResult options)
    {
        if (FileOf(options, TokenFileOption) is not { } path)
        {
            return Environment.GetEnvironmentVariable(TokenVariable) is { Length: > 0 } token ? token : null;
        }

        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"The token in '{path}' can't be read: {exception.Message}");
        }
    }

    private static string? FileOf(ParseResult options, Option<string?> option)
        => options.GetValue(option) is not { } path ? null : File.Exists(path) ? path : throw new CliException($"There is no file '{path}'.");
}
