using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>An authority, made for a test, and the certificates that it issues. Files are in a folder of their own.</summary>
public sealed class TestCertificates : IDisposable
{
    private const string ServerUse = "1.3.6.1.5.5.7.3.1", ClientUse = "1.3.6.1.5.5.7.3.2";

    private static readonly DateTimeOffset From = DateTimeOffset.UtcNow.AddDays(-1), To = From.AddDays(30);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-certificates-");
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public TestCertificates()
    {
        var request = new CertificateRequest("CN=authority", _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        Authority = request.CreateSelfSigned(From, To);
        AuthorityPath = Write("ca.pem", Authority.ExportCertificatePem());
        using var server = Issue("CN=silo", ServerUse);
        ServerPath = Write("silo.pem", server.ExportCertificatePem() + "\n" + server.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
        ServerPfxPath = Path.Combine(_folder.FullName, "silo.pfx");
        File.WriteAllBytes(ServerPfxPath, server.Export(X509ContentType.Pfx, Password));
    }

    public const string Password = "of the file";

    public X509Certificate2 Authority { get; }

    public string AuthorityPath { get; }

    /// <summary>A gateway's certificate with its key, as PEM, for localhost and 127.0.0.1.</summary>
    public string ServerPath { get; }

    /// <summary>The same as PFX, with <see cref="Password"/>.</summary>
    public string ServerPfxPath { get; }

    /// <summary>A client's certificate with its key.</summary>
    public X509Certificate2 Client(string subject) => Issue(subject, ClientUse);

    /// <summary>A certificate of which a client must not make use: it is for servers.</summary>
    public X509Certificate2 ForServers(string subject) => Issue(subject, ServerUse);

    /// <summary>A client's certificate that no authority has issued.</summary>
    public static X509Certificate2 SelfSigned(string subject)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return WithKey(RequestOf(subject, ClientUse, key).CreateSelfSigned(From, To));
    }

    /// <summary>The file with a certificate and its key.</summary>
    public string Save(X509Certificate2 certificate, string name) => Write(name, certificate.ExportCertificatePem() + "\n" + certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());

    /// <summary>A file of the folder.</summary>
    public string Write(string name, string text)
    {
        var path = Path.Combine(_folder.FullName, name);
        File.WriteAllText(path, text);
        return path;
    }

    public void Dispose()
    {
        _key.Dispose();
        Authority.Dispose();
        _folder.Delete(recursive: true);
    }

    private X509Certificate2 Issue(string subject, string use)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var issued = RequestOf(subject, use, key).Create(Authority, From, To.AddDays(-1), RandomNumberGenerator.GetBytes(8));
        return WithKey(issued.CopyWithPrivateKey(key));
    }

    private static CertificateRequest RequestOf(string subject, string use, ECDsa key)
    {
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(use)], critical: false));
        return request;
    }

    // The key of a certificate is kept with it.
    private static X509Certificate2 WithKey(X509Certificate2 certificate)
    {
        using (certificate)
        {
            return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null, X509KeyStorageFlags.Exportable);
        }
    }
}
