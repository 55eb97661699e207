using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>
/// Opens contexts: by a silo's gateway, or by any grain factory, that of a silo's process or of an Orleans client (<c>IClusterClient</c>).
/// Thread-safe; a process needs only one.
/// </summary>
/// <remarks>
/// The client renews the leases of its files and drivers in the background until they are closed, or until <see cref="Stop"/>. If a process ends without closing its files,
/// the service closes them when their leases expire.
/// </remarks>
public sealed class IommufdClient
{
    // How many handles one open tries, if the leases of the files that it opens expire before their answers come.
    private const int MaxHandles = 3;

    private readonly ClientCore _core;
    private readonly long _id = Session.NewId();

    /// <summary>Creates a client.</summary>
    /// <param name="grains">Reaches the grains.</param>
    /// <param name="options">How to send requests; null for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public IommufdClient(IGrainFactory grains, IommufdClientOptions? options = null)
        : this(new GrainChannel(grains ?? throw new ArgumentNullException(nameof(grains))), options)
    {
    }

    /// <summary>Creates a client of a silo's gateway: no Orleans client is needed. Connects when it is used.</summary>
    /// <param name="gateway">
    /// The path of the gateway's Unix socket (the silo's setting <c>Gateway:Path</c>), or <c>tls://HOST:PORT</c> of its port (<c>Gateway:Listen</c>), which asks for
    /// <see cref="IommufdClientOptions.Credentials"/>. <c>tcp://HOST:PORT</c> is the port of a silo on this machine that does without encryption.
    /// </param>
    /// <param name="options">How to send requests; null for the defaults.</param>
    /// <exception cref="ArgumentException">The URL or the token can't be used.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public IommufdClient(string gateway, IommufdClientOptions? options = null)
        : this(new GatewayChannel(new GatewayAddress(gateway ?? throw new ArgumentNullException(nameof(gateway)), options?.Credentials), (options ?? new IommufdClientOptions()).Name), options)
    {
    }

    internal IommufdClient(IContextChannel channel, IommufdClientOptions? options = null)
        => _core = new ClientCore(channel, (options ?? new IommufdClientOptions()).Validated());

    /// <summary>Opens a new context under a random handle, as opening <c>/dev/iommu</c> does.</summary>
    /// <param name="name">The opener's name, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters; null takes <see cref="IommufdClientOptions.Name"/>.</param>
    /// <param name="mode">Whether the context outlives its silo; null takes <see cref="IommufdClientOptions.DefaultMode"/>.</param>
    /// <param name="cancellationToken">Cancels the wait; a file that is opened all the same is closed when its lease expires.</param>
    /// <returns>The context.</returns>
    /// <exception cref="IommufdException">EINVAL for an invalid name; EOPNOTSUPP for a durable context if silos have no journal; EMFILE or ENFILE if too many contexts are open.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public async Task<IommuContext> OpenAsync(string? name = null, ContextMode? mode = null, CancellationToken cancellationToken = default)
    {
        for (var handles = 1; ; handles++)
        {
            var session = new Session(_core);
            var request = new OpenRequest(mode ?? _core.Options.DefaultMode, name ?? _core.Options.Name, session.Id, _id);
            var grain = _core.Grain(ContextHandle.NewRandom());
            try
            {
                return new IommuContext(grain, session, await _core.TakeAsync("open", () => grain.OpenAsync(request), cancellationToken));
            }
            catch (IommufdException exception) when (exception.Errno == Errno.EEXIST && handles < MaxHandles)
            {
                // Handles are random, so an earlier attempt of this call has opened the context, and its lease expired before an answer came. Another handle is needed.
            }
        }
    }

    /// <summary>Opens a second file of an open context, as <c>dup</c> or a passed file descriptor does.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="name">The opener's name, for people; null takes <see cref="IommufdClientOptions.Name"/>.</param>
    /// <param name="cancellationToken">Cancels the wait; a file that is opened all the same is closed when its lease expires.</param>
    /// <returns>A second file of the same context. The context stays open until its last reference is put.</returns>
    /// <exception cref="IommufdException">EBADF if the handle names no open context, EINVAL for an invalid name.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public async Task<IommuContext> DuplicateAsync(ContextHandle handle, string? name = null, CancellationToken cancellationToken = default)
    {
        var session = new Session(_core);
        var request = new GetRequest(ReferenceKind.File, name ?? _core.Options.Name, session.Id);
        var grain = _core.Grain(handle);
        return new IommuContext(grain, session, await _core.TakeAsync("duplicate", () => grain.GetAsync(request), cancellationToken));
    }

    /// <summary>Takes a driver's reference to a context (<c>iommufd_ctx_from_fd</c>), which keeps the context from being released and can hold objects.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="driver">The driver's name, for people.</param>
    /// <param name="cancellationToken">Cancels the wait; a reference that is taken all the same is put when its lease expires.</param>
    /// <returns>The driver, by its reference.</returns>
    /// <exception cref="IommufdException">EBADF if the handle names no open context, EINVAL for an invalid name.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<IommuDriver> GetDriverAsync(ContextHandle handle, string driver, CancellationToken cancellationToken = default)
        => _core.GetDriverAsync(handle, driver, cancellationToken);

    /// <summary>Takes a driver's reference to the context that a text names.</summary>
    /// <param name="handle">The handle as text.</param>
    /// <param name="driver">The driver's name, for people.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The driver, by its reference.</returns>
    /// <exception cref="IommufdException">
    /// EBADFD if the text is not a context's handle; otherwise as <see cref="GetDriverAsync(ContextHandle, string, CancellationToken)"/>.
    /// </exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<IommuDriver> GetDriverAsync(string handle, string driver, CancellationToken cancellationToken = default)
        => ContextHandle.TryParse(handle, out var parsed) ? GetDriverAsync(parsed, driver, cancellationToken) : throw new IommufdException("get", Errno.EBADFD, null);

    /// <summary>Shows a context and a page of its objects, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Which objects to show.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The page.</returns>
    /// <exception cref="IommufdException">EBADF if the handle names no open context.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<ContextInspection> InspectAsync(ContextHandle handle, InspectRequest request, CancellationToken cancellationToken = default)
        => Inspections.InspectAsync(_core.Transport, _core.Grain(handle), request, cancellationToken);

    /// <summary>Shows one object with a page of its own long lists, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="id">The object.</param>
    /// <param name="page">Which page; for an IOAS, from which IOVA on.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The object; null if the context is not open or has no such object.</returns>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<ObjectInspection?> InspectObjectAsync(ContextHandle handle, ObjectId id, StatePage page, CancellationToken cancellationToken = default)
        => Inspections.InspectObjectAsync(_core.Transport, _core.Grain(handle), id, page, cancellationToken);

    /// <summary>Shows who holds whom in a context, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Where to start, and how much to show.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The graph.</returns>
    /// <exception cref="IommufdException">EBADF if the handle names no open context, ENOENT if there is no such object.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<HolderGraph> InspectGraphAsync(ContextHandle handle, GraphRequest request, CancellationToken cancellationToken = default)
        => Inspections.InspectGraphAsync(_core.Transport, _core.Grain(handle), request, cancellationToken);

    /// <summary>Lists the holds to release, in order, before an object of a context can be destroyed. Takes no reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="id">The object.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The steps; none if nothing holds the object.</returns>
    /// <exception cref="IommufdException">EBADF if the handle names no open context, ENOENT if there is no such object.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<BusyExplanation> ExplainBusyAsync(ContextHandle handle, ObjectId id, CancellationToken cancellationToken = default)
        => Inspections.ExplainBusyAsync(_core.Transport, _core.Grain(handle), id, cancellationToken);

    /// <summary>Shows the last ioctls of a context, without taking a reference. The context records more of them for some seconds after this.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Which ioctls to show.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The ioctls.</returns>
    /// <exception cref="IommufdException">EBADF if the handle names no open context.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<TailReply> TailAsync(ContextHandle handle, TailRequest request, CancellationToken cancellationToken = default)
        => Inspections.TailAsync(_core.Transport, _core.Grain(handle), request, cancellationToken);

    /// <summary>
    /// Shows the last accesses of emulated devices that could not be translated. Those of a context can be read some time after it has closed. Of all contexts, a client of a
    /// gateway sees those that its own identity has opened.
    /// </summary>
    /// <param name="query">Which.</param>
    /// <param name="handle">The context whose they are; null for the one that the query names, or all.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The faults, oldest first.</returns>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<FaultPage> ListFaultsAsync(FaultQuery query, ContextHandle? handle = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(query);
        return _core.ListFaultsAsync(handle, query, cancellationToken);
    }

    /// <summary>
    /// Stops the client's work in the background. Open files and drivers can still be used and closed, but their leases are not renewed any more, and no request is sent
    /// a second time. The service closes files when their leases expire. A client without open files and drivers does nothing in the background, so it need not be stopped.
    /// </summary>
    public void Stop()
    {
        _core.Transport.Stop();
        _core.Leases.Stop();
    }

    /// <summary>Takes over a file that another client has opened and renews no more.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="sessionId">The file's session.</param>
    /// <param name="name">The opener's name, where the file's lease has expired and the context is open by another.</param>
    internal async Task<IommuContext> ResumeAsync(ContextHandle handle, long sessionId, string name)
    {
        var session = new Session(_core) { Id = sessionId, Lane = Session.NewId() };
        var grain = _core.Grain(handle);
        var request = new GetRequest(ReferenceKind.File, name, sessionId);
        return new IommuContext(grain, session, await _core.TakeAsync("resume", () => grain.GetAsync(request), CancellationToken.None));
    }

    /// <summary>Takes over a file that an ioctl of another client has opened.</summary>
    internal async Task<IommuFile> ResumeFileAsync(ContextHandle handle, FileTarget target, string name)
    {
        var grain = _core.Grain(handle);
        var request = new GetRequest(ReferenceKind.Driver, name, FileTarget.SessionOf(target.Reference));
        var taken = await _core.TakeAsync("resume", () => grain.GetAsync(request), CancellationToken.None);
        if (taken.Reference == target.Reference)
        {
            return new IommuFile(UserFile.Of(target), grain, _core, taken.Lease, Session.NewId());
        }

        // The file's lease has expired: this is another reference.
        await _core.Transport.PutAsync("resume", grain, taken.Reference, CancellationToken.None);
        throw new IommufdException("resume", Errno.EBADF, null);
    }
}
