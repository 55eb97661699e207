using System.Security.Cryptography.X509Certificates;

namespace IommuFd.Client;

/// <summary>How a client proves who it is to a silo's gateway by TCP, and which gateways it trusts.</summary>
public sealed class GatewayCredentials
{
    /// <summary>The token: one of the silo's setting <c>Gateway:Tokens</c>. It is a secret, and goes to the gateway only. Null for none.</summary>
    public string? Token { get; init; }

    /// <summary>The client's certificate, with its private key. Null for none. A token counts where both are given.</summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>The authorities to which the gateway's certificate must chain; null for those that the system trusts.</summary>
    public X509Certificate2Collection? Authorities { get; init; }

    /// <summary>The name that the gateway's certificate must be for; null for the host of the gateway's URL.</summary>
    public string? ServerName { get; init; }
}
