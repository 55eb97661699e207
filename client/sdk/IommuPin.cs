using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>Pages that an access has pinned. Disposing unpins them.</summary>
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

    /// <summary>The memory behind the IOVAs, in the order of the IOVAs.</summary>
    public IReadOnlyList<UserMemoryPiece> Memory { get; }

    /// <summary>Drops the pin (<c>iommufd_access_unpin_pages</c>).</summary>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the pin is dropped.</returns>
    /// <exception cref="IommufdException">ENOENT if the pin was dropped before, or revoked by unmapping.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task UnpinAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Drops the pin unless that was done before. Does not throw.</summary>
    /// <returns>Completes when the pin is dropped.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();
}
