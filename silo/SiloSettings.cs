using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Net.Sockets;
using IommuFd.Silo.Clustering;
using IommuFd.Silo.Security;

namespace IommuFd.Silo;

/// <summary>
/// Where a silo listens and which cluster it belongs to: the section <c>Silo</c> of the configuration (file, <c>Silo__*</c> environment,
/// <c>--Silo:*</c> arguments).
/// </summary>
public sealed class SiloSettings
{
    public const string Section = "Silo";

    /// <summary>The address that the silo listens on and is reached by, or a name that resolves to it. Loopback by default.</summary>
    [Required]
    public string Address { get; set; } = "127.0.0.1";

    /// <summary>The port for other silos; 0 takes a free one.</summary>
    [Range(0, 65535)]
    public int SiloPort { get; set; } = 11111;

    /// <summary>The port for Orleans clients. 0, the default, opens none: such a client can do what a silo can, and programs have the gateway of their own (<c>Gateway</c>).</summary>
    [Range(0, 65535)]
    public int GatewayPort { get; set; }

    /// <summary>The same for all silos and clients of a cluster.</summary>
    [Required]
    public string ClusterId { get; set; } = "iommufd";

    /// <summary>The same for all clusters that a deployment has over time.</summary>
    [Required]
    public string ServiceId { get; set; } = "iommufd";

    /// <summary>How long a stopping silo hands over its contexts before it gives up. 30 s by default.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan StopTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How silos find each other.</summary>
    [Required]
    public ClusteringSettings Clustering { get; set; } = new();

    /// <summary>When a silo that does not answer is declared dead.</summary>
    [Required]
    public FailureDetectionSettings FailureDetection { get; set; } = new();

    /// <summary>How connections are secured. On loopback they are unencrypted by default; beyond it a silo asks every peer for a certificate.</summary>
    [Required]
    public TlsSettings Tls { get; set; } = new();

    /// <summary>Whether peers that show no certificate must know the secret of the silo's user. They must by default.</summary>
    [EnumDataType(typeof(SecretMode))]
    public SecretMode Secret { get; set; } = SecretMode.Required;

    /// <summary>
    /// The file with the secret; the silo makes it if it is not there. By default the one that the environment variable <c>IOMMUFD_SECRET_PATH</c>
    /// names, and without it <c>iommufd/secret</c> in <c>$XDG_STATE_HOME</c> or <c>~/.local/state</c>.
    /// </summary>
    public string? SecretPath { get; set; }

    /// <summary>The most connections of silos, and the most of clients. 1024 by default.</summary>
    [Range(1, 1_000_000)]
    public int MaxConnections { get; set; } = 1024;

    /// <summary>Whether peers of a port must know the secret: where none shows a certificate.</summary>
    internal bool AsksForSecret => Secret == SecretMode.Required && !Tls.IsMutual;

    /// <summary>The address to listen on.</summary>
    /// <exception cref="ValidationException">The name does not resolve, or others can reach the address and peers need no certificate there.</exception>
    internal IPAddress ListenAddress()
    {
        var address = ResolveAddress();
        return IPAddress.IsLoopback(address) || Tls.IsMutual
            ? address
            : throw new ValidationException(
                $"{Section}:{nameof(Address)} is '{Address}', which others can reach, so silos and clients must prove by certificates who they are: "
                + (Tls.IsOn
                    ? $"{Section}:{nameof(Tls)}:{nameof(TlsSettings.RequireClientCertificate)} must be true. "
                    : $"set {Section}:{nameof(Tls)}:{nameof(TlsSettings.CertificatePath)} and {nameof(TlsSettings.CaPath)} (see TLS in docs/operations.md). ")
                + "127.0.0.1 is for this machine only.");
    }

    /// <summary>Resolves <see cref="Address"/>, which may be a name.</summary>
    /// <exception cref="ValidationException">The name does not resolve.</exception>
    internal IPAddress ResolveAddress()
    {
        if (IPAddress.TryParse(Address, out var address))
        {
            return address;
        }

        try
        {
            var addresses = Dns.GetHostAddresses(Address);
            return addresses.FirstOrDefault(candidate => candidate.AddressFamily == AddressFamily.InterNetwork) ?? addresses[0];
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException)
        {
            throw new ValidationException($"{Section}:{nameof(Address)} is '{Address}'; it must be an IP address or a name that resolves to one: {exception.Message}", exception);
        }
    }
}
