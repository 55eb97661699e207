using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>A driver's reference to a context. It keeps the context from being released, even after the last file is closed. Disposing puts the reference. Thread-safe.</summary>
public sealed class IommuDriver : IAsyncDisposable
{
    private readonly ContextCalls _grain;
    private readonly Session _session;
    private readonly LeasedReference _reference;
    private readonly ReleaseOnce<ReleaseReport?> _release;
    private readonly TracedCalls _traced;

    internal IommuDriver(ContextCalls grain, Session session, ReferenceReply taken)
    {
        (_grain, _session) = (grain, session);
        _reference = session.Core.Leases.Add(new LeasedReference(grain, taken.Reference, taken.Lease, session));
        _release = session.Core.PutOnce("put", _reference);
        _traced = new TracedCalls(grain, session.Core.ServerAddress);
    }

    /// <summary>The context's handle.</summary>
    public ContextHandle Handle => _grain.Handle;

    /// <summary>Whether the service no longer has this reference, as for <see cref="IommuContext.IsLost"/>. Everything made through the reference is gone with it.</summary>
    public bool IsLost => _reference.IsLost;

    /// <summary>Holds an object: adds 1 to its users count, so that DESTROY answers EBUSY and names this driver.</summary>
    /// <param name="id">The object.</param>
    /// <param name="why">What the hold is for, as text for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
    /// <param name="type">The kind that the object must have, or <see cref="ObjectType.Any"/>.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>The hold; disposing it drops it.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such object, EBADF if this reference was put, EINVAL for an invalid text.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<IommuHold> HoldAsync(ObjectId id, string why, ObjectType type = ObjectType.Any, CancellationToken cancellationToken = default)
    {
        var reply = await RunAsync("hold", new HoldObjectRequest(id, type, why), cancellationToken);
        return new IommuHold(id, reply.Hold, DropAsync);
    }

    /// <summary>Binds a device to the context (<c>iommufd_device_bind</c>): the device gets an id, and this driver holds the device until it unbinds it.</summary>
    /// <param name="device">The device's description.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>The device; disposing it unbinds it.</returns>
    /// <exception cref="IommufdException">EINVAL if the description is invalid, ENODEV if there is no such IOMMU, EBADF if this reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<IommuDevice> BindDeviceAsync(DeviceDescription device, CancellationToken cancellationToken = default)
        => new(this, (await RunAsync("bind", new BindDeviceRequest(device), cancellationToken)).Id);

    /// <summary>Creates an access to the memory of an IOAS (<c>iommufd_access_create</c>, <c>_attach</c>).</summary>
    /// <param name="ioas">The IOAS to attach the access to; default attaches it to none.</param>
    /// <param name="memory">The memory that the access copies from and to: <see cref="IommuContext.Memory"/>, or the memory of the program that maps; null for none.</param>
    /// <param name="needsPinPages">Whether the access pins pages; areas must be aligned to pages then.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>The access; disposing it destroys it.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such IOAS, EADDRINUSE if the access pins and an area is not aligned to pages, EBADF if this reference was put.</exception>
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

    /// <summary>Puts the reference (<c>iommufd_ctx_put</c>), with every hold, device and access that was made through it. Putting the last reference releases the context.</summary>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>What was released; null if the context has other references, or if the answer was lost with its silo.</returns>
    /// <exception cref="IommufdException">EBADF if the reference was put before, or if the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ReleaseReport?> PutAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Puts the reference unless that was done before. Does not throw.</summary>
    /// <returns>Completes when the reference is put.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();

    internal async ValueTask<DriverReply> RunAsync(string operation, DriverRequest request, CancellationToken cancellationToken)
    {
        var reply = await TryRunAsync(operation, request, cancellationToken);
        return reply.Errno == Errno.None ? reply : throw new IommufdException(operation, reply.Errno, reply.Diagnostic);
    }

    /// <summary>Runs a request whose errno is a part of its answer.</summary>
    internal ValueTask<DriverReply> TryRunAsync(string operation, DriverRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        IommufdException.ThrowIfTooLarge(operation, WireSize.Of(request));
        return TracedCalls.IsWanted
            ? _traced.DriverAsync(request, (this, operation, request, cancellationToken), static call => call.Item1.SendAsync(isTraced: true, call.operation, call.request, call.cancellationToken))
            : SendAsync(isTraced: false, operation, request, cancellationToken);
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
