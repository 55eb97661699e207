using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using IommuFd.Silo.Security;
using Orleans.Connections.Security;

namespace IommuFd.Silo.Gateway.Remote;

/// <summary>Which certificates say who a client is: those of the authorities in a file, and those whose thumbprints are named.</summary>
internal sealed class ClientCertificates
{
    private readonly RemoteCertificateValidator? _ofAuthorities;
    private readonly byte[][] _thumbprints;

    /// <param name="settings">Settings that have no problem.</param>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">The file can't be used.</exception>
    public ClientCertificates(GatewaySettings settings)
    {
        _ofAuthorities = string.IsNullOrEmpty(settings.ClientCaPath) ? null : Certificates.Trust(Certificates.LoadAuthorities(settings.ClientCaPath), isServer: false);
        _thumbprints = [.. settings.ClientThumbprints.Select(thumbprint => Parse(thumbprint)!)];
    }

    /// <summary>The SHA-256 of a certificate, from its hexadecimal digits, with colons or without; null for another text.</summary>
    public static byte[]? Parse(string? thumbprint)
    {
        var digits = thumbprint?.Replace(":", "", StringComparison.Ordinal) ?? "";
        return digits.Length == 2 * SHA256.HashSizeInBytes && digits.All(char.IsAsciiHexDigit) ? Convert.FromHexString(digits) : null;
    }

    /// <summary>Who a client is by the certificate that it has shown, and whose key it has.</summary>
    /// <param name="shown">The certificate.</param>
    /// <param name="chain">What came with it.</param>
    public Proof Check(X509Certificate2 shown, X509Chain? chain)
    {
        if (!IsTrusted(shown, chain))
        {
            return new Proof(null, "its certificate is not trusted");
        }

        return CommonNameOf(shown) is { } common && GatewayIdentity.IsCommonName(common)
            ? new Proof(GatewayIdentity.OfCertificate(common), null)
            : new Proof(null, $"its certificate has no common name of 1 to {GatewayIdentity.MaxName} printable characters");
    }

    private bool IsTrusted(X509Certificate2 shown, X509Chain? chain)
    {
        var now = DateTime.Now;
        return _ofAuthorities?.Invoke(shown, chain, default) == true
            || (now >= shown.NotBefore && now <= shown.NotAfter && Array.Exists(_thumbprints, thumbprint => CryptographicOperations.FixedTimeEquals(thumbprint, shown.GetCertHash(HashAlgorithmName.SHA256))));
    }

    // One that has several is nobody in particular.
    private static string? CommonNameOf(X509Certificate2 certificate)
    {
        const string CommonName = "2.5.4.3";
        try
        {
            var names = certificate.SubjectName.EnumerateRelativeDistinguishedNames().Where(name => !name.HasMultipleElements && name.GetSingleElementType().Value == CommonName).ToList();
            return names is [var only] ? only.GetSingleElementValue() : null;
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    /// <summary>Who a client is, or why it is nobody.</summary>
    internal readonly record struct Proof(string? Identity, string? Problem);
}
