using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>A driver's reference to a context. While it is there, the context is not released, also when its last file is closed. Thread-safe.</summary>
public sealed class IommuDriver : IAsyncDisposable
{
    private readonly IContextGrain _grain;
    private readonly Session _session;
    private readonly LeasedReference _reference;
    private readonly ReleaseOnce<ReleaseReport?> _ownership;
    private readonly TracedCalls _traced;

    internal IommuDriver(ContextHandle handle, IContextGrain grain, Session session, ReferenceReply taken)
    {
        (Handle, _grain, _session) = (handle, grain, session);
        _reference = session.Core.Leases.Add(new LeasedReference(handle, grain, taken.Reference, taken.Lease, session));
        _ownership = session.Core.Owner("put", _reference);
        _traced = new TracedCalls(handle, session.Core.ClusterId);
    }

    /// <summary>The context's handle.</summary>
    public ContextHandle Handle { get; }

    /// <summary>Whether the service was found to have this reference no more, as <see cref="IommuContext.IsLost"/>. All that was made through it went with it.</summary>
    public bool IsLost => _reference.IsLost;

    /// <summary>Holds an object: adds 1 to its users count, so that DESTROY answers EBUSY and names this driver.</summary>
    /// <param name="id">The object.</param>
    /// <param name="why">What the hold is for, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
    /// <param name="type">The kind it must have, or <see cref="ObjectType.Any"/>.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>The hold; disposing it drops it.</returns>
    /// <exception cref="IommufdException">ENOENT without such an object, EBADF where this reference was put, EINVAL for a bad text.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<IommuHold> HoldAsync(ObjectId id, string why, ObjectType type = ObjectType.Any, CancellationToken cancellationToken = default)
    {
        var reply = await RunAsync("hold", new HoldObjectRequest(id, type, why), cancellationToken);
        return new IommuHold(id, reply.Hold, DropAsync);
    }

    /// <summary>Binds a device to the context (<c>iommufd_device_bind</c>): it gets an id, and this driver holds it until it unbinds it.</summary>
    /// <param name="device">The device.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>The device; disposing it unbinds it.</returns>
    /// <exception cref="IommufdException">EINVAL where it is not well described, ENODEV without such an IOMMU, EBADF where this reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<IommuDevice> BindDeviceAsync(DeviceDescription device, CancellationToken cancellationToken = default)
        => new(this, (await RunAsync("bind", new BindDeviceRequest(device), cancellationToken)).Id);

    /// <summary>Makes an access to the memory of an IOAS (<c>iommufd_access_create</c>, <c>_attach</c>).</summary>
    /// <param name="ioas">The IOAS to attach it to; default to attach it later.</param>
    /// <param name="memory">What it copies from and to: <see cref="IommuContext.Memory"/>, or the memory of the program that maps; null for none.</param>
    /// <param name="needsPinPages">Whether it pins pages; IOVAs must be aligned to pages then.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>The access; disposing it destroys it.</returns>
    /// <exception cref="IommufdException">ENOENT without such an IOAS, EADDRINUSE where it pins and an area is not aligned to pages, EBADF where this reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<IommuAccess> CreateAccessAsync(
        ObjectId ioas = default, ICallerMemory? memory = null, bool needsPinPages = false, CancellationToken cancellationToken = default)
    {
        var id = (await RunAsync("create access", new CreateAccessRequest(needsPinPages), cancellationToken)).Id;
        var access = new IommuAccess(this, id, memory ?? new CallerMemory());
        try
        {
            if (ioas != default)
            {
                await access.AttachAsync(ioas, cancellationToken);
            }

            return access;
        }
        catch
        {
            await access.DisposeAsync();
            throw;
        }
    }

    /// <summary>Puts the reference back, with every hold taken through it, and every device and access made through it. The last reference releases the context.</summary>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>What was released; null where others still refer to the context, and where the answer was lost with its silo.</returns>
    /// <exception cref="IommufdException">EBADF where it was put already, or the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ReleaseReport?> PutAsync(CancellationToken cancellationToken = default) => _ownership.EndAsync(cancellationToken);

    /// <summary>Puts the reference back where that was not done. Does not throw.</summary>
    /// <returns>When it is put.</returns>
    public ValueTask DisposeAsync() => _ownership.DisposeAsync();

    internal async ValueTask<DriverReply> RunAsync(string operation, DriverRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var reply = await (TracedCalls.IsWanted
            ? _traced.DriverAsync(request, (this, operation, request, cancellationToken), static call => call.Item1.SendAsync(isTraced: true, call.operation, call.request, call.cancellationToken))
            : SendAsync(isTraced: false, operation, request, cancellationToken));
        return reply.Errno == Errno.None ? reply : throw new IommufdException(operation, reply.Errno, reply.Diagnostic);
    }

    private async ValueTask<DriverReply> SendAsync(bool isTraced, string operation, DriverRequest request, CancellationToken cancellationToken)
    {
        var call = new DriverCall(_session, _grain, _reference.Id, operation, request) { IsTraced = isTraced };
        if (!_session.TryBegin(call))
        {
            await _session.BeginAsync(call, cancellationToken);
        }

        return await call.StartAsync(cancellationToken);
    }

    private async Task<HoldId> DropAsync(HoldId hold, CancellationToken cancellationToken)
        => (await RunAsync("drop", new DropHoldRequest(hold), cancellationToken)).Hold;
}
