using System.Security.Cryptography.X509Certificates;
using Orleans.Configuration;
using Orleans.Connections.Security;

namespace IommuFd.Silo.Security;

// Orleans' own UseTls has one set of options for all connections. Here there are three kinds: a client's certificate must not open the port of
// silos, where a client could do anything, so there both directions require the name that all silos share.

internal static class SiloTlsExtensions
{
    /// <summary>Secures the silo's connections with TLS, if the settings ask for it.</summary>
    public static ISiloBuilder AddTls(this ISiloBuilder silo, TlsSettings settings)
    {
        if (!settings.IsOn)
        {
            return silo;
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
        return silo.Configure<SiloConnectionOptions>(connections =>
        {
            connections.ConfigureSiloOutboundConnection(connection => connection.UseClientTls(toSilos));
            connections.ConfigureSiloInboundConnection(connection => connection.UseServerTls(fromSilos));
            connections.ConfigureGatewayInboundConnection(connection => connection.UseServerTls(fromClients));
        });
    }

    private static TlsOptions Options(X509Certificate2 certificate, RemoteCertificateValidator trust)
        => new() { LocalCertificate = certificate, RemoteCertificateMode = RemoteCertificateMode.RequireCertificate, RemoteCertificateValidation = trust };
}
