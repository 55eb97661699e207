using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using IommuFd.Silo.Security;

namespace IommuFd.ClusterTests.Operations;

/// <summary>An authority made for a test, and certificates that it has signed, in files of a folder of its own.</summary>
internal sealed class TestCertificates : IDisposable
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1", ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-tls-").FullName;
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 _authority;

    public TestCertificates()
    {
        var request = new CertificateRequest("CN=test authority", _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        _authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(CaPath, _authority.ExportCertificatePem());
    }

    /// <summary>The authority's certificate, PEM.</summary>
    public string CaPath => Path.Combine(_folder, "ca.pem");

    /// <summary>Makes a silo's certificate, PEM with the key in another file.</summary>
    public (string CertificatePath, string KeyPath) MakeSiloPem(string name)
    {
        using var certificate = Sign("iommufd", [ServerAuthentication, ClientAuthentication]);
        var (certificatePath, keyPath) = (Path.Combine(_folder, $"{name}.pem"), Path.Combine(_folder, $"{name}.key"));
        File.WriteAllText(certificatePath, certificate.ExportCertificatePem());
        File.WriteAllText(keyPath, certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
        return (certificatePath, keyPath);
    }

    /// <summary>Makes a silo's certificate, PFX, with its password in a file.</summary>
    public (string CertificatePath, string PasswordPath) MakeSiloPfx(string name)
    {
        using var certificate = Sign("iommufd", [ServerAuthentication, ClientAuthentication]);
        var password = Convert.ToHexString(RandomNumberGenerator.GetBytes(8));
        var (certificatePath, passwordPath) = (Path.Combine(_folder, $"{name}.pfx"), Path.Combine(_folder, $"{name}.password"));
        File.WriteAllBytes(certificatePath, certificate.Export(X509ContentType.Pfx, password));
        File.WriteAllText(passwordPath, $"{password}\n");
        return (certificatePath, passwordPath);
    }

    /// <summary>Makes a client's certificate, PEM with its key.</summary>
    public string MakeClient(string name)
    {
        using var certificate = Sign(name, [ClientAuthentication]);
        var path = Path.Combine(_folder, $"{name}.pem");
        File.WriteAllText(path, $"{certificate.ExportCertificatePem()}\n{certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem()}\n");
        return path;
    }

    public void Dispose()
    {
        _authority.Dispose();
        _key.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private X509Certificate2 Sign(string name, string[] uses)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([.. uses.Select(use => new Oid(use))], critical: false));
        using var signed = request.Create(_authority, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddHours(12), RandomNumberGenerator.GetBytes(8));
        return signed.CopyWithPrivateKey(key);
    }
}

internal static class CertificateClients
{
    /// <summary>Makes the client prove by a certificate who it is, and trust silos whose certificate an authority has signed.</summary>
    public static IClientBuilder UseClientCertificate(this IClientBuilder client, X509Certificate2 certificate, string authority) => client.UseTls(tls =>
    {
        tls.LocalCertificate = certificate;
        tls.RemoteCertificateValidation = Certificates.Trust(Certificates.LoadAuthorities(authority), isServer: true);
        tls.OnAuthenticateAsClient = (_, authentication) => authentication.TargetHost = "iommufd";
    });
}
