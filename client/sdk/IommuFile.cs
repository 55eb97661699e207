using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A file that an ioctl has opened, such as the access that <c>IOMMU_TEST_OP_CREATE_ACCESS</c> makes. Disposing it closes it.</summary>
public sealed class IommuFile : IAsyncDisposable
{
    private readonly Ownership<ReleaseReport?> _ownership;

    internal IommuFile(UserFile file, IContextGrain grain, TimeSpan lease, Transport transport, LeaseKeeper leases)
    {
        File = file;
        var access = file.Access!;
        _ownership = Ownership.OfReference("close", access.Context, grain, access.Reference, lease, transport, leases);
    }

    /// <summary>What arguments that name the file by its descriptor are sent with.</summary>
    public UserFile File { get; }

    /// <summary>Closes the file. Where it was the context's last reference, the context is released.</summary>
    /// <returns>What was released; null where others still refer to the context.</returns>
    /// <exception cref="IommufdException">EBADF where it is closed already, or the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ReleaseReport?> CloseAsync() => _ownership.EndAsync();

    /// <summary>Closes the file where it is still open. Does not throw.</summary>
    /// <returns>When it is closed.</returns>
    public ValueTask DisposeAsync() => _ownership.DisposeAsync();
}
