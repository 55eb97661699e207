namespace IommuFd.GrainInterfaces;

/// <summary>A file that an ioctl has opened: the caller's side gives it a descriptor, and writes that into the argument.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.NewFile")]
public sealed record NewFile
{
    /// <summary>Opens a file.</summary>
    /// <param name="offset">Where the 32-bit descriptor goes, in bytes from the argument's start.</param>
    /// <param name="target">What the file leads to.</param>
    public NewFile(int offset, FileTarget target) => (Offset, File) = (offset, UserFile.Of(target));

    /// <summary>Opens a dma-buf, whose descriptor is the ioctl's return value.</summary>
    /// <param name="dmaBuf">The dma-buf.</param>
    public NewFile(UserFile dmaBuf) => (Offset, File) = (ReturnValue, dmaBuf);

    /// <summary>The <see cref="Offset"/> of a descriptor that is the ioctl's return value.</summary>
    public const int ReturnValue = -1;

    /// <summary>Where the 32-bit descriptor goes, in bytes from the argument's start; <see cref="ReturnValue"/> for one that the ioctl returns.</summary>
    [Id(0)]
    public int Offset { get; init; }

    /// <summary>The file, which has a target, or is a dma-buf. Arguments that name its descriptor are sent with it.</summary>
    [Id(1)]
    public UserFile File { get; init; }
}
