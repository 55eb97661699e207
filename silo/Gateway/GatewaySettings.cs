using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Text;
using IommuFd.Silo.Gateway.Remote;
using IommuFd.Silo.Security;

namespace IommuFd.Silo.Gateway;

/// <summary>
/// Where the gateway listens, who may connect, and what one identity may have of it: the section <c>Gateway</c> of the configuration. An identity is a user of this machine, by
/// the Unix socket; by TCP it is who has a token or a certificate.
/// </summary>
public sealed class GatewaySettings : IValidatableObject
{
    public const string Section = "Gateway";

    // sockaddr_un has 108 bytes, the last of which ends the path.
    private const int MaxPathBytes = 107;

    /// <summary>The path of the Unix socket that programs connect to. Only the silo's user may. Without a path there is none.</summary>
    public string? Path { get; set; }

    /// <summary>The ADDRESS:PORT where it listens for clients by TCP, which name contexts by handles. None by default.</summary>
    public string? Listen { get; set; }

    /// <summary>The certificate that the gateway shows by TCP, as PFX or PEM. It encrypts all that clients send.</summary>
    public string? CertificatePath { get; set; }

    /// <summary>The private key, as PEM, if it is not in the certificate's file.</summary>
    public string? KeyPath { get; set; }

    /// <summary>The password of the PFX or the key. Give it in the environment or by <see cref="PasswordPath"/>, not as an argument.</summary>
    public string? Password { get; set; }

    /// <summary>The file with the password.</summary>
    public string? PasswordPath { get; set; }

    /// <summary>Whether TCP may be without a certificate, and so unencrypted: on loopback only. False by default.</summary>
    public bool AllowUnencrypted { get; set; }

    /// <summary>
    /// The tokens by which clients prove who they are, by name: <c>Gateway:Tokens:NAME</c>. Each is the text of at least 16 random bytes, or its hash, as <c>sha256:</c> and 64
    /// hexadecimal digits. Give them in the environment or a file, not as arguments.
    /// </summary>
    public Dictionary<string, string?> Tokens { get; } = [];

    /// <summary>The authorities, as PEM, whose certificates prove who a client is: the identity is the subject's common name. None by default.</summary>
    public string? ClientCaPath { get; set; }

    /// <summary>The SHA-256 thumbprints of certificates that prove the same without an authority.</summary>
    public List<string> ClientThumbprints { get; } = [];

    /// <summary>
    /// The file with the secret by which handles are bound to identities; the silo makes it if it is not there. Silos that have the same know each other's handles. By default the
    /// secret of the silo's user; where silos show certificates and so have none, one that ends with the silo.
    /// </summary>
    public string? SecretPath { get; set; }

    /// <summary>
    /// The devices that the silo emulates for programs by the Unix socket, each as <c>KIND[,key=value...]</c>: <c>nvme,file=disk.img</c>, <c>dma-test,bdf=0000:02:00.0,width=39</c>.
    /// None by default.
    /// </summary>
    public List<string> Devices { get; } = [];

    /// <summary>
    /// The limit of memory that a program, or its user, may have pinned, as RLIMIT_MEMLOCK: a size, as <c>8M</c>, for every program; <c>caller</c> for each program's own
    /// RLIMIT_MEMLOCK, from which CAP_IPC_LOCK frees it. None by default.
    /// </summary>
    public string? LockedMemory { get; set; }

    /// <summary>The most connections of one identity: each open descriptor is one, and each thread that issues ioctls has another. 4096 by default.</summary>
    [Range(1, 1_000_000)]
    public int MaxConnections { get; set; } = 4096;

    /// <summary>The most contexts that one identity has open by descriptors, and on a silo as many by handles. 1024 by default.</summary>
    [Range(1, 1_000_000)]
    public int MaxContexts { get; set; } = 1024;

    /// <summary>The most requests of one connection that are under way. 256 by default.</summary>
    [Range(1, 65_536)]
    public int MaxUnderWay { get; set; } = 256;

    /// <summary>The most bytes of requests of one connection that are under way. 32 MiB by default.</summary>
    [Range(1 << 20, 1 << 30)]
    public int MaxBytesUnderWay { get; set; } = 32 << 20;

    /// <summary>The most requests of one identity that are under way, on all its connections. 16384 by default.</summary>
    [Range(1, 10_000_000)]
    public int MaxUnderWayInAll { get; set; } = 16_384;

    /// <summary>The most bytes of requests of one identity that are under way or have arrived in part, on all its connections. 512 MiB by default.</summary>
    [Range(32L << 20, 1L << 40)]
    public long MaxBytesInAll { get; set; } = 512L << 20;

    /// <summary>How long a connection may take to say what it is.</summary>
    internal TimeSpan HelloPatience { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a client may leave its answers unread.</summary>
    internal TimeSpan ReadPatience { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long after the start a file that a program has resumed waits for more of its copies before it is closed.</summary>
    internal TimeSpan ResumePatience { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How many wrong proofs an address may give at once, and after how long it may give one more.</summary>
    internal (int Most, TimeSpan Each) Attempts { get; set; } = FailedAttempts.Usual;

    /// <summary>Whether there is a gateway.</summary>
    internal bool IsOn => HasSocket || HasPort;

    /// <summary>Whether it has a Unix socket.</summary>
    internal bool HasSocket => !string.IsNullOrEmpty(Path);

    /// <summary>Whether it listens for TCP.</summary>
    internal bool HasPort => !string.IsNullOrEmpty(Listen);

    /// <summary>Where it listens for TCP.</summary>
    internal IPEndPoint Endpoint => IPEndPoint.Parse(Listen!);

    /// <summary>The URL for clients by TCP.</summary>
    internal string Url => $"{(string.IsNullOrEmpty(CertificatePath) ? "tcp" : "tls")}://{Endpoint}";

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var problem in RemoteRules.Problems(this))
        {
            yield return problem;
        }

        if (!Programs.LockedMemory.IsSetting(LockedMemory))
        {
            yield return new ValidationResult($"{Section}:{nameof(LockedMemory)} is '{LockedMemory}'; it can be a size up to 4096G, as 8M, or '{Programs.LockedMemory.OfCaller}'.", [nameof(LockedMemory)]);
        }

        if (HasSocket && Encoding.UTF8.GetByteCount(System.IO.Path.GetFullPath(Path!) + GatewaySocket.DescriptorSuffix) is var bytes && bytes > MaxPathBytes)
        {
            yield return new ValidationResult($"{Section}:{nameof(Path)} has {bytes} bytes as a full path with '{GatewaySocket.DescriptorSuffix}'; a Unix socket's may have {MaxPathBytes}.", [nameof(Path)]);
        }
    }
}
