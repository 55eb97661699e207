namespace IommuFd.GrainInterfaces;

/// <summary>
/// The exporter of a dma-buf revokes it (<c>dma_buf_move_notify</c>): what the context's IOASes map of it leads nowhere from now on, also where it was copied to. The
/// areas stay until they are unmapped.
/// </summary>
/// <param name="Identity">The <see cref="UserFile.Identity"/> of the dma-buf.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.RevokeDmaBufRequest")]
public sealed record RevokeDmaBufRequest([property: Id(0)] string Identity) : DriverRequest;
