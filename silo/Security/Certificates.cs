using System.ComponentModel.DataAnnotations;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Orleans.Connections.Security;

namespace IommuFd.Silo.Security;

/// <summary>Loads certificates from files and decides which certificates to trust.</summary>
public static class Certificates
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <summary>Loads a certificate with its private key.</summary>
    /// <param name="path">PFX, or PEM.</param>
    /// <param name="keyPath">The key, as PEM, if it is in another file.</param>
    /// <param name="password">The password of the PFX or the key.</param>
    /// <exception cref="ValidationException">The certificate can't be loaded; the message names the file.</exception>
    public static X509Certificate2 Load(string path, string? keyPath, string? password)
    {
        try
        {
            var certificate = IsPem(path) ? LoadPem(path, keyPath, password) : X509CertificateLoader.LoadPkcs12FromFile(path, password);
            return certificate.HasPrivateKey ? certificate : throw new ValidationException($"The certificate in '{path}' comes without a private key: name the key's file too.");
        }
        catch (Exception exception) when (exception is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ValidationException($"The certificate in '{path}' can't be loaded: {exception.Message}", exception);
        }
    }

    /// <summary>Loads what a certificate's file has beside the certificate: those of its issuers, which others need to build a chain. None for PFX.</summary>
    /// <exception cref="ValidationException">The file can't be loaded.</exception>
    public static X509Certificate2Collection LoadIssuers(string path)
    {
        if (!IsPem(path))
        {
            return [];
        }

        var issuers = LoadAuthorities(path);
        issuers.RemoveAt(0);
        return issuers;
    }

    /// <summary>Loads the authorities that others' certificates must chain to.</summary>
    /// <exception cref="ValidationException">The file can't be loaded, or has none.</exception>
    public static X509Certificate2Collection LoadAuthorities(string path)
    {
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPemFile(path);
        }
        catch (Exception exception) when (exception is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new ValidationException($"The certificates in '{path}' can't be loaded: {exception.Message}", exception);
        }

        return authorities.Count > 0 ? authorities : throw new ValidationException($"'{path}' has no PEM certificate.");
    }

    /// <summary>Trusts certificates that chain to one of these authorities (without any, to the system's) and are valid for this use.</summary>
    /// <param name="authorities">The authorities, or null.</param>
    /// <param name="isServer">Whether the other end is the server of the connection; then its name is checked too.</param>
    /// <param name="name">A name that the certificate must always be for; null for any.</param>
    public static RemoteCertificateValidator Trust(X509Certificate2Collection? authorities, bool isServer, string? name = null) => (certificate, presented, errors) =>
    {
        if (certificate is null || (isServer && errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch)) || (name is not null && !certificate.MatchesHostname(name)))
        {
            return false;
        }

        if (authorities is null)
        {
            return errors == SslPolicyErrors.None;
        }

        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(isServer ? ServerAuthentication : ClientAuthentication));
        if (presented is not null)
        {
            chain.ChainPolicy.ExtraStore.AddRange(presented.ChainPolicy.ExtraStore);
        }

        return chain.Build(certificate);
    };

    private static bool IsPem(string path) => File.ReadLines(path).Any(line => line.StartsWith("-----BEGIN ", StringComparison.Ordinal));

    private static X509Certificate2 LoadPem(string path, string? keyPath, string? password)
        => string.IsNullOrEmpty(password) ? X509Certificate2.CreateFromPemFile(path, keyPath) : X509Certificate2.CreateFromEncryptedPemFile(path, password, keyPath);
}
