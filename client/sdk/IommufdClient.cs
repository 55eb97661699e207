using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>
/// Opens contexts. Works with any grain factory: the one inside a silo's process, or an Orleans client's (<c>IClusterClient</c>) in another.
/// Thread-safe; make one and keep it.
/// </summary>
/// <remarks>
/// What is opened is kept alive in the background until it is closed, or this is stopped: a process that ends without closing its files, however it ends, has them
/// closed by the service when their leases are over.
/// </remarks>
public sealed class IommufdClient
{
    // Handles that an open tries, should the leases of those that it opens end before it learns of them.
    private const int MaxHandles = 3;

    private readonly ClientCore _core;
    private readonly long _id = Session.NewId();

    /// <summary>Makes a client.</summary>
    /// <param name="grains">The way to the grains.</param>
    /// <param name="options">How to send requests; null for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense.</exception>
    public IommufdClient(IGrainFactory grains, IommufdClientOptions? options = null)
        : this(new GrainChannel(grains ?? throw new ArgumentNullException(nameof(grains))), options)
    {
    }

    internal IommufdClient(IContextChannel channel, IommufdClientOptions? options = null)
        => _core = new ClientCore(channel, (options ?? new IommufdClientOptions()).Validated());

    /// <summary>Opens a new context under a random handle, as opening <c>/dev/iommu</c> does.</summary>
    /// <param name="name">Who opens it, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters; null takes <see cref="IommufdClientOptions.Name"/>.</param>
    /// <param name="mode">Whether it outlives its silo; null takes <see cref="IommufdClientOptions.DefaultMode"/>.</param>
    /// <param name="cancellationToken">Stops the waiting; what was opened then is closed when its lease is over.</param>
    /// <returns>The context; disposing it closes it.</returns>
    /// <exception cref="IommufdException">EINVAL for a bad name; EOPNOTSUPP for a durable one where silos have no journal; EMFILE or ENFILE where there are too many.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public async Task<IommuContext> OpenAsync(string? name = null, ContextMode? mode = null, CancellationToken cancellationToken = default)
    {
        for (var handles = 1; ; handles++)
        {
            var handle = ContextHandle.NewRandom();
            var session = new Session(_core);
            var request = new OpenRequest(mode ?? _core.Options.DefaultMode, name ?? _core.Options.Name, session.Id, _id);
            var grain = _core.Grain(handle);
            try
            {
                return new IommuContext(handle, grain, session, await TakeAsync("open", () => grain.OpenAsync(request), cancellationToken));
            }
            catch (IommufdException exception) when (exception.Errno == Errno.EEXIST && handles < MaxHandles)
            {
                // Nobody else has a random handle: an attempt of this call has opened it, and its lease was over before an answer came. It is closed; the next is another.
            }
        }
    }

    /// <summary>Opens a second file of an open context, as <c>dup</c> or a passed file descriptor does.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="name">Who opens it, for people; null takes <see cref="IommufdClientOptions.Name"/>.</param>
    /// <param name="cancellationToken">Stops the waiting; what was opened then is closed when its lease is over.</param>
    /// <returns>The same context; it stays open until the last file and driver let it go.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context, EINVAL for a bad name.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public async Task<IommuContext> DuplicateAsync(ContextHandle handle, string? name = null, CancellationToken cancellationToken = default)
    {
        var session = new Session(_core);
        var request = new GetRequest(ReferenceKind.File, name ?? _core.Options.Name, session.Id);
        var grain = _core.Grain(handle);
        return new IommuContext(handle, grain, session, await TakeAsync("duplicate", () => grain.GetAsync(request), cancellationToken));
    }

    /// <summary>Takes a driver's reference to a context (<c>iommufd_ctx_from_fd</c>): it puts the release off and can hold objects.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="driver">The driver's name, for people.</param>
    /// <param name="cancellationToken">Stops the waiting; a reference that was taken then is put when its lease is over.</param>
    /// <returns>The reference; disposing it lets go of all that was held through it.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context, EINVAL for a bad name.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public async Task<IommuDriver> GetDriverAsync(ContextHandle handle, string driver, CancellationToken cancellationToken = default)
    {
        var session = new Session(_core);
        var request = new GetRequest(ReferenceKind.Driver, driver, session.Id);
        var grain = _core.Grain(handle);
        return new IommuDriver(handle, grain, session, await TakeAsync("get", () => grain.GetAsync(request), cancellationToken));
    }

    /// <summary>Takes a driver's reference by what somebody passed as a handle.</summary>
    /// <param name="handle">The text.</param>
    /// <param name="driver">The driver's name, for people.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>The reference.</returns>
    /// <exception cref="IommufdException">
    /// EBADFD where the text is no handle of a context at all; otherwise as <see cref="GetDriverAsync(ContextHandle, string, CancellationToken)"/>.
    /// </exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<IommuDriver> GetDriverAsync(string handle, string driver, CancellationToken cancellationToken = default)
        => ContextHandle.TryParse(handle, out var parsed) ? GetDriverAsync(parsed, driver, cancellationToken) : throw new IommufdException("get", Errno.EBADFD, null);

    /// <summary>Shows a context and a page of its objects, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Which objects.</param>
    /// <param name="cancellationToken">Ends the inspection early.</param>
    /// <returns>The page.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<ContextInspection> InspectAsync(ContextHandle handle, InspectRequest request, CancellationToken cancellationToken = default)
        => Inspections.InspectAsync(_core.Transport, _core.Grain(handle), request, cancellationToken);

    /// <summary>Shows one object with a part of its own long lists, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="id">The object.</param>
    /// <param name="page">Which part; of an IOAS, from which IOVA on.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The object; null without an open context or such an object.</returns>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<ObjectInspection?> InspectObjectAsync(ContextHandle handle, ObjectId id, StatePage page, CancellationToken cancellationToken = default)
        => Inspections.InspectObjectAsync(_core.Transport, _core.Grain(handle), id, page, cancellationToken);

    /// <summary>Shows who holds whom in a context, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">From where, and how much.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The graph.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context, ENOENT without such an object.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<HolderGraph> InspectGraphAsync(ContextHandle handle, GraphRequest request, CancellationToken cancellationToken = default)
        => Inspections.InspectGraphAsync(_core.Transport, _core.Grain(handle), request, cancellationToken);

    /// <summary>Says what must be let go, in which order, before an object of a context can be destroyed, without taking a reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="id">The object.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The steps; none where nothing is in the way.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context, ENOENT without such an object.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<BusyExplanation> ExplainBusyAsync(ContextHandle handle, ObjectId id, CancellationToken cancellationToken = default)
        => Inspections.ExplainBusyAsync(_core.Transport, _core.Grain(handle), id, cancellationToken);

    /// <summary>Shows the last ioctls of a context, without taking a reference. More of them are kept for some seconds after that.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Which.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The ioctls.</returns>
    /// <exception cref="IommufdException">EBADF where the handle names no open context.</exception>
    /// <exception cref="IommufdTransportException">No silo answered.</exception>
    public Task<TailReply> TailAsync(ContextHandle handle, TailRequest request, CancellationToken cancellationToken = default)
        => Inspections.TailAsync(_core.Transport, _core.Grain(handle), request, cancellationToken);

    /// <summary>
    /// Ends what this does in the background. Files and drivers that are still open can be used and closed; but their leases are renewed no more, and no request is sent
    /// a second time. What stays open is closed by the service when its lease is over. A client whose files and drivers are all closed does nothing in the background.
    /// </summary>
    public void Stop()
    {
        _core.Transport.Stop();
        _core.Leases.Stop();
    }

    // The session makes it the same reference however often it is asked for.
    private async Task<ReferenceReply> TakeAsync(string operation, Func<Task<ReferenceReply>> take, CancellationToken cancellationToken)
    {
        var reply = await _core.Transport.CallAsync(operation, take, static reply => reply.Errno == Errno.None, cancellationToken);
        return reply.Errno == Errno.None ? reply : throw new IommufdException(operation, reply.Errno, reply.Diagnostic);
    }
}
