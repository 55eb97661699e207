using System.Security.Cryptography.X509Certificates;
using Orleans.Connections.Security;

namespace IommuFd.Silo.Security;

// Orleans' own UseTls has one set of options for all connections. Here there are three kinds: a client's certificate must not open the port of
// silos, where a client could do anything, so there both directions require the name that all silos share.

/// <summary>TLS of a silo's connections: those that it opens, and those to its two ports.</summary>
internal sealed record SiloTls(TlsOptions ToSilos, TlsOptions FromSilos, TlsOptions FromClients)
{
    /// <summary>Loads the certificates that the settings name; null if they name none.</summary>
    public static SiloTls? Load(TlsSettings settings)
    {
        if (!settings.IsOn)
        {
            return null;
        }

        var password = string.IsNullOrEmpty(settings.PasswordPath) ? settings.Password : File.ReadAllText(settings.PasswordPath).TrimEnd('\r', '\n');
        var certificate = Certificates.Load(settings.CertificatePath!, settings.KeyPath, password);
        var authorities = string.IsNullOrEmpty(settings.CaPath) ? null : Certificates.LoadAuthorities(settings.CaPath);
        var clients = settings.RequireClientCertificate ? RemoteCertificateMode.RequireCertificate : RemoteCertificateMode.NoCertificate;

        var toSilos = Options(certificate, Certificates.Trust(authorities, isServer: true));
        toSilos.ClientCertificateMode = RemoteCertificateMode.RequireCertificate;
        toSilos.OnAuthenticateAsClient = (_, client) => client.TargetHost = settings.ServerName;
        var fromSilos = Options(certificate, Certificates.Trust(authorities, isServer: false, settings.ServerName));
        var fromClients = Options(certificate, Certificates.Trust(authorities, isServer: false));
        fromClients.RemoteCertificateMode = clients;
        return new SiloTls(toSilos, fromSilos, fromClients);
    }

    private static TlsOptions Options(X509Certificate2 certificate, RemoteCertificateValidator trust)
        => new() { LocalCertificate = certificate, RemoteCertificateMode = RemoteCertificateMode.RequireCertificate, RemoteCertificateValidation = trust };
}
