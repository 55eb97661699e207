namespace IommuFd.GrainInterfaces;

/// <summary>A file of the program's, which an argument names by its descriptor.</summary>
/// <param name="Identity">Tells files apart: two descriptors of one file have equal identities. At most <see cref="IoctlLimits.MaxIdentityLength"/> characters, else E2BIG.</param>
/// <param name="IsMemfd">Whether it is memory (a memfd), which can be pinned.</param>
/// <param name="LengthBytes">Its length.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UserFile")]
public sealed record UserFile([property: Id(0)] string Identity, [property: Id(1)] bool IsMemfd, [property: Id(2)] ulong LengthBytes)
{
    /// <summary>What the file leads to where an ioctl has opened it; null for a file that the program has opened itself.</summary>
    [Id(3)]
    public FileTarget? Target { get; init; }

    /// <summary>What it is as a dma-buf; null for another file.</summary>
    [Id(4)]
    public UserDmaBuf? DmaBuf { get; init; }

    /// <summary>The handle of the target's context. It is not sent: the SDK that has opened the file keeps it here.</summary>
    [field: NonSerialized]
    internal ContextHandle Handle { get; init; }

    /// <summary>The dma-buf itself, where this process has it. It is not sent.</summary>
    [field: NonSerialized]
    internal object? Exported { get; init; }

    /// <summary>The file that leads to a target. It has no bytes that could be mapped.</summary>
    /// <param name="target">What the file leads to.</param>
    /// <returns>The file.</returns>
    public static UserFile Of(FileTarget target)
    {
        ArgumentNullException.ThrowIfNull(target);
        return new UserFile($"{target.Type.Label()} {target.Id}", IsMemfd: false, 0) { Target = target };
    }
}
