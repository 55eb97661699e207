using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A driver's users count on an object.</summary>
public sealed class IommuHold : IAsyncDisposable
{
    private readonly ReleaseOnce<HoldId> _release;

    internal IommuHold(ObjectId target, HoldId id, Func<HoldId, CancellationToken, Task<HoldId>> drop)
    {
        Target = target;
        Id = id;
        _release = new ReleaseOnce<HoldId>(cancellationToken => drop(id, cancellationToken));
    }

    /// <summary>The object.</summary>
    public ObjectId Target { get; }

    /// <summary>The hold's number within its context.</summary>
    public HoldId Id { get; }

    /// <summary>Lets the object go.</summary>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When its users count is 1 less.</returns>
    /// <exception cref="IommufdException">ENOENT where it was dropped already, EBADF where the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task DropAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Lets the object go where that was not done. Does not throw.</summary>
    /// <returns>When it is dropped.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();
}
