namespace IommuFd.GrainInterfaces;

/// <summary>A file that an argument names by its descriptor, as found in the caller's process.</summary>
/// <param name="Identity">Tells files apart: two descriptors of one file have equal identities.</param>
/// <param name="IsMemfd">Whether it is memory (a memfd), which can be pinned.</param>
/// <param name="LengthBytes">Its length.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UserFile")]
public sealed record UserFile([property: Id(0)] string Identity, [property: Id(1)] bool IsMemfd, [property: Id(2)] ulong LengthBytes)
{
    /// <summary>The access that the file is, if it is one.</summary>
    [Id(3)]
    public AccessFile? Access { get; init; }
}

/// <summary>The access behind a file that <c>IOMMU_TEST_OP_CREATE_ACCESS</c> opened.</summary>
/// <param name="Context">The context that the access belongs to.</param>
/// <param name="Reference">The file's reference to the context; putting it destroys the access.</param>
/// <param name="Access">The access.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AccessFile")]
public sealed record AccessFile([property: Id(0)] ContextHandle Context, [property: Id(1)] ReferenceId Reference, [property: Id(2)] ObjectId Access);

/// <summary>A file that an ioctl opened: the caller's side allocates a descriptor for it and writes that into the argument.</summary>
/// <param name="Offset">Where the 32-bit descriptor goes, in bytes from the argument's start.</param>
/// <param name="File">The file.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.NewFile")]
public sealed record NewFile([property: Id(0)] int Offset, [property: Id(1)] UserFile File);
