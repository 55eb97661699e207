using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Silo.Security;
using Microsoft.AspNetCore.Connections;

namespace IommuFd.Silo.Gateway.Remote;

/// <summary>How the gateway's port proves itself, and how clients by TCP prove who they are: by a token in HELLO, or by a certificate. A token counts where both are given.</summary>
internal sealed class RemoteProofs
{
    private static readonly object CertificateKey = new();

    private readonly TokenTable _tokens;
    private readonly ClientCertificates _certificates;

    /// <param name="settings">Settings that have no problem. They forget the tokens: only hashes are kept.</param>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">A certificate can't be used.</exception>
    public RemoteProofs(GatewaySettings settings)
    {
        _tokens = new TokenTable(settings.Tokens);
        settings.Tokens.Clear();
        _certificates = new ClientCertificates(settings);
        AsksForCertificates = !string.IsNullOrEmpty(settings.ClientCaPath) || settings.ClientThumbprints.Count > 0;
        if (!string.IsNullOrEmpty(settings.CertificatePath))
        {
            var password = string.IsNullOrEmpty(settings.PasswordPath) ? settings.Password : File.ReadAllText(settings.PasswordPath).TrimEnd('\r', '\n');
            ServerCertificate = SslStreamCertificateContext.Create(
                Certificates.Load(settings.CertificatePath, settings.KeyPath, password), Certificates.LoadIssuers(settings.CertificatePath), offline: true);
        }
    }

    /// <summary>The certificate that the port shows, with those of its issuers; null where it is unencrypted.</summary>
    public SslStreamCertificateContext? ServerCertificate { get; }

    /// <summary>Whether clients are asked for certificates.</summary>
    public bool AsksForCertificates { get; }

    /// <summary>A client has shown a certificate in the handshake, or none. <see cref="Check"/> tells what it proves.</summary>
    /// <returns>Whether the handshake goes on: it does with any, so that the client can be told what is wrong with it.</returns>
    public bool Judge(ConnectionContext connection, X509Certificate? shown, X509Chain? chain)
    {
        if (shown is not null)
        {
            using var certificate = X509CertificateLoader.LoadCertificate(shown.GetRawCertData());
            connection.Items[CertificateKey] = _certificates.Check(certificate, chain);
        }

        return true;
    }

    /// <summary>Who a client is; otherwise why it is nobody.</summary>
    public (string? Identity, string? Problem) Check(ConnectionContext connection, Hello hello)
    {
        if (hello.Token.Length > 0)
        {
            return _tokens.IdentityOf(hello.Token) is { } known ? (known, null) : (null, "the token is wrong");
        }

        return connection.Items.TryGetValue(CertificateKey, out var noted) && noted is ClientCertificates.Proof proof
            ? (proof.Identity, proof.Problem)
            : (null, AsksForCertificates ? "there is neither a token nor a certificate" : "there is no token");
    }
}
