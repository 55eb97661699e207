using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A driver's hold on an object: 1 of its users count. Disposing drops the hold.</summary>
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

    /// <summary>Drops the hold.</summary>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the object's users count is 1 less.</returns>
    /// <exception cref="IommufdException">ENOENT if the hold was dropped before, EBADF if the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task DropAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Drops the hold unless that was done before. Does not throw.</summary>
    /// <returns>Completes when the hold is dropped.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();
}
