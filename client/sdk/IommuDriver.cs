using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>A driver's reference to a context. While it is there, the context is not released, also when its last file is closed. Thread-safe.</summary>
public sealed class IommuDriver : IAsyncDisposable
{
    private readonly IContextGrain _grain;
    private readonly ReferenceId _reference;
    private int _put;

    internal IommuDriver(ContextHandle handle, IContextGrain grain, ReferenceId reference)
    {
        Handle = handle;
        _grain = grain;
        _reference = reference;
    }

    /// <summary>The context's handle.</summary>
    public ContextHandle Handle { get; }

    /// <summary>Holds an object: adds 1 to its users count, so that DESTROY answers EBUSY and names this driver.</summary>
    /// <param name="id">The object.</param>
    /// <param name="why">What the hold is for, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
    /// <param name="type">The kind it must have, or <see cref="ObjectType.Any"/>.</param>
    /// <returns>The hold; disposing it drops it.</returns>
    /// <exception cref="IommufdException">ENOENT without such an object, EBADF where this reference was put, EINVAL for a bad text.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<IommuHold> HoldAsync(ObjectId id, string why, ObjectType type = ObjectType.Any)
    {
        var reply = await Transport.CallAsync("hold", () => _grain.HoldAsync(_reference, id, type, why));
        return reply.Errno == Errno.None ? new IommuHold(this, id, reply.Hold) : throw new IommufdException("hold", reply.Errno, reply.Diagnostic);
    }

    /// <summary>Puts the reference back, with every hold taken through it. The last reference releases the context.</summary>
    /// <returns>What was released; null where others still refer to the context.</returns>
    /// <exception cref="IommufdException">EBADF where it was put already, or the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<ReleaseReport?> PutAsync()
    {
        _put = 1;
        var reply = await Transport.CallAsync("put", () => _grain.PutAsync(_reference));
        return reply.Errno == Errno.None ? reply.Release : throw new IommufdException("put", reply.Errno, reply.Diagnostic);
    }

    /// <summary>Puts the reference back where that was not done. Does not throw.</summary>
    /// <returns>When it is put.</returns>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _put, 1) == 0)
        {
            try
            {
                await PutAsync();
            }
            catch (Exception exception) when (exception is IommufdException or IommufdTransportException)
            {
            }
        }
    }

    internal async Task DropAsync(HoldId hold)
    {
        var reply = await Transport.CallAsync("drop", () => _grain.DropAsync(_reference, hold));
        if (reply.Errno != Errno.None)
        {
            throw new IommufdException("drop", reply.Errno, reply.Diagnostic);
        }
    }
}

/// <summary>A driver's users count on an object.</summary>
public sealed class IommuHold : IAsyncDisposable
{
    private readonly IommuDriver _driver;
    private int _dropped;

    internal IommuHold(IommuDriver driver, ObjectId target, HoldId id)
    {
        _driver = driver;
        Target = target;
        Id = id;
    }

    /// <summary>The object.</summary>
    public ObjectId Target { get; }

    /// <summary>The hold's number within its context.</summary>
    public HoldId Id { get; }

    /// <summary>Lets the object go.</summary>
    /// <returns>When its users count is 1 less.</returns>
    /// <exception cref="IommufdException">ENOENT where it was dropped already, EBADF where the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task DropAsync()
    {
        _dropped = 1;
        return _driver.DropAsync(Id);
    }

    /// <summary>Lets the object go where that was not done. Does not throw.</summary>
    /// <returns>When it is dropped.</returns>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _dropped, 1) == 0)
        {
            try
            {
                await DropAsync();
            }
            catch (Exception exception) when (exception is IommufdException or IommufdTransportException)
            {
            }
        }
    }
}
