using System.ComponentModel.DataAnnotations;
using System.Text;

namespace IommuFd.Silo.Gateway;

/// <summary>Where the gateway listens, and what one user may have of it: the section <c>Gateway</c> of the configuration.</summary>
public sealed class GatewaySettings : IValidatableObject
{
    public const string Section = "Gateway";

    // sockaddr_un has 108 bytes, the last of which ends the path.
    private const int MaxPathBytes = 107;

    /// <summary>The path of the Unix socket that programs connect to. Only the silo's user may. Without a path there is no gateway.</summary>
    public string? Path { get; set; }

    /// <summary>The most connections of one user: each open descriptor is one, and each thread that issues ioctls has another. 4096 by default.</summary>
    [Range(1, 1_000_000)]
    public int MaxConnections { get; set; } = 4096;

    /// <summary>The most contexts that one user has open. 1024 by default.</summary>
    [Range(1, 1_000_000)]
    public int MaxContexts { get; set; } = 1024;

    /// <summary>The most requests of one connection that are under way. 256 by default.</summary>
    [Range(1, 65_536)]
    public int MaxUnderWay { get; set; } = 256;

    /// <summary>The most bytes of requests of one connection that are under way. 32 MiB by default.</summary>
    [Range(1 << 20, 1 << 30)]
    public int MaxBytesUnderWay { get; set; } = 32 << 20;

    /// <summary>How long a connection may take to say what it is.</summary>
    internal TimeSpan HelloPatience { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a client may leave its answers unread.</summary>
    internal TimeSpan ReadPatience { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long after the start a file that a program has resumed waits for more of its copies before it is closed.</summary>
    internal TimeSpan ResumePatience { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Whether there is a gateway.</summary>
    internal bool IsOn => !string.IsNullOrEmpty(Path);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (IsOn && Encoding.UTF8.GetByteCount(System.IO.Path.GetFullPath(Path!) + GatewaySocket.DescriptorSuffix) is var bytes && bytes > MaxPathBytes)
        {
            yield return new ValidationResult($"{Section}:{nameof(Path)} has {bytes} bytes as a full path with '{GatewaySocket.DescriptorSuffix}'; a Unix socket's may have {MaxPathBytes}.", [nameof(Path)]);
        }
    }
}
