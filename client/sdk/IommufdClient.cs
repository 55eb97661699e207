using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>
/// Opens contexts. Works with any grain factory: the one inside a silo's process, or an Orleans client's (<c>IClusterClient</c>) in another.
/// Thread-safe; make one and keep it.
/// </summary>
/// <param name="grains">The way to the grains.</param>
/// <param name="options">How it behaves; null for the defaults.</param>
public sealed class IommufdClient(IGrainFactory grains, IommufdClientOptions? options = null)
{
    private readonly Transport _transport = new(options ?? new IommufdClientOptions());
    private readonly LeaseKeeper _leases = new(options?.TimeProvider ?? TimeProvider.System);
    private readonly long _client = Session.NewId();


    /// <summary>Opens a new context under a random handle, as opening <c>/dev/iommu</c> does.</summary>
    /// <param name="name">Who opens it, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
    /// <param name="mode">Whether the context outlives its silo; null for <see cref="IommufdClientOptions.DefaultMode"/>.</param>
    /// <param name="cancellationToken">Stops the waiting; a context that was opened all the same ends with its lease.</param>
    /// <returns>The context; disposing it closes it. While it is open, this client renews its lease.</returns>
    /// <exception cref="IommufdException">EINVAL for a bad name; EOPNOTSUPP for a durable context where silos have no journal; EMFILE or ENFILE where there are too many.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public async Task<IommuContext> OpenAsync(string name = "sdk", ContextMode? mode = null, CancellationToken cancellationToken = default)
    {
        var handle = ContextHandle.NewRandom();
        var (grain, session) = (Grain(handle), new Session());
        var request = new OpenRequest(mode ?? options?.DefaultMode, name, session.Id, _client);
        return Context(handle, grain, session, Taken(await _transport.CallAsync("open", _ => grain.OpenAsync(request), cancellationToken), "open"));
    }

    /// <summary>Opens a second file of an open context, as <c>dup</c> or a passed file descriptor does.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="name">Who opens it, for people.</param>
    /// <param name="cancellationToken">Stops the waiting; a file that was opened all the same ends with its lease.</param>
    /// <returns>The same context; it stays open until the last file and driver let it go.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context, EINVAL for a bad name.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public async Task<IommuContext> DuplicateAsync(ContextHandle handle, string name = "sdk", CancellationToken cancellationToken = default)
    {
        var (grain, session) = (Grain(handle), new Session());
        var request = new GetRequest(ReferenceKind.File, name, session.Id);
        return Context(handle, grain, session, Taken(await _transport.CallAsync("duplicate", _ => grain.GetAsync(request), cancellationToken), "duplicate"));
    }

    /// <summary>Takes a driver's reference to a context (<c>iommufd_ctx_from_fd</c>): it puts the release off and can hold objects.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="driver">The driver's name, for people.</param>
    /// <returns>The reference; disposing it lets go of all that was held through it.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context, EINVAL for a bad name.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public async Task<IommuDriver> GetDriverAsync(ContextHandle handle, string driver)
    {
        var (grain, session) = (Grain(handle), new Session());
        var request = new GetRequest(ReferenceKind.Driver, driver, session.Id);
        return new IommuDriver(handle, grain, session, Taken(await _transport.CallAsync("get", _ => grain.GetAsync(request)), "get"), _transport, _leases);
    }

    /// <summary>Takes a driver's reference by what somebody passed as a handle.</summary>
    /// <param name="handle">The text.</param>
    /// <param name="driver">The driver's name, for people.</param>
    /// <returns>The reference.</returns>
    /// <exception cref="IommufdException">EBADFD where the text is no handle of a context at all; otherwise as <see cref="GetDriverAsync(ContextHandle, string)"/>.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<IommuDriver> GetDriverAsync(string handle, string driver)
        => ContextHandle.TryParse(handle, out var parsed) ? GetDriverAsync(parsed, driver) : throw new IommufdException("get", Errno.EBADFD, null);

    /// <summary>Shows a context and a page of its objects, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Which objects.</param>
    /// <param name="cancellationToken">Ends the inspection early.</param>
    /// <returns>The page.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<ContextInspection> InspectAsync(ContextHandle handle, InspectRequest request, CancellationToken cancellationToken = default)
        => InspectAsync(_transport, Grain(handle), request, cancellationToken);

    /// <summary>Shows one object with a part of its own long lists, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="id">The object.</param>
    /// <param name="page">Which part; of an IOAS, from which IOVA on.</param>
    /// <returns>The object; null without an open context or such an object.</returns>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<ObjectInspection?> InspectObjectAsync(ContextHandle handle, ObjectId id, StatePage page)
    {
        var grain = Grain(handle);
        return _transport.CallAsync("inspect", _ => grain.InspectObjectAsync(id, page));
    }

    /// <summary>Shows who holds whom in a context, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">From where, and how much.</param>
    /// <returns>The graph.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context, ENOENT without such an object.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<HolderGraph> InspectGraphAsync(ContextHandle handle, GraphRequest request) => InspectGraphAsync(_transport, Grain(handle), request);

    internal static async Task<HolderGraph> InspectGraphAsync(Transport transport, IContextGrain grain, GraphRequest request)
    {
        var graph = await transport.CallAsync("inspect", _ => grain.InspectGraphAsync(request));
        return graph.Errno switch
        {
            Errno.None => graph,
            Errno.ENOENT => throw new IommufdException("inspect", graph.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ObjectNotFound, ObjectId = request.Root }),
            _ => throw new IommufdException("inspect", graph.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen }),
        };
    }

    internal static async Task<ContextInspection> InspectAsync(Transport transport, IContextGrain grain, InspectRequest request, CancellationToken cancellationToken)
    {
        var inspection = await transport.CallAsync("inspect", _ => grain.InspectAsync(request, cancellationToken), cancellationToken);
        return inspection.Errno == Errno.None
            ? inspection
            : throw new IommufdException("inspect", inspection.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen });
    }

    private static ReferenceReply Taken(ReferenceReply reply, string operation)
        => reply.Errno == Errno.None ? reply : throw new IommufdException(operation, reply.Errno, reply.Diagnostic);

    private IommuContext Context(ContextHandle handle, IContextGrain grain, Session session, ReferenceReply taken)
        => new(handle, grain, Grain, session, taken, _transport, _leases);

    private IContextGrain Grain(ContextHandle handle) => grains.GetGrain<IContextGrain>(handle.Value);
}
