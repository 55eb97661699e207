using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>Pages that an access has pinned. Disposing it unpins them.</summary>
public sealed class IommuPin : IAsyncDisposable
{
    private readonly ReleaseOnce<DriverReply> _release;

    internal IommuPin(IovaRange range, IReadOnlyList<UserMemoryPiece> memory, Func<CancellationToken, Task<DriverReply>> unpin)
    {
        Range = range;
        Memory = memory;
        _release = new ReleaseOnce<DriverReply>(unpin);
    }

    /// <summary>The IOVAs.</summary>
    public IovaRange Range { get; }

    /// <summary>The memory behind them, in their order.</summary>
    public IReadOnlyList<UserMemoryPiece> Memory { get; }

    /// <summary>Drops the pin (<c>iommufd_access_unpin_pages</c>).</summary>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When it is dropped.</returns>
    /// <exception cref="IommufdException">ENOENT where it is gone: dropped, or revoked by unmapping.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task UnpinAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Drops the pin where that was not done. Does not throw.</summary>
    /// <returns>When it is dropped.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();
}
