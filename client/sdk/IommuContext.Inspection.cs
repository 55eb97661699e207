using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <content>Looks at the context, which changes nothing and does not wait for requests that run.</content>
public sealed partial class IommuContext
{
    /// <summary>Shows the context and a page of its objects. Does not wait for requests that run.</summary>
    /// <param name="after">Only objects with greater ids; default starts at the first.</param>
    /// <param name="limit">At most so many objects.</param>
    /// <param name="withState">Whether each object's own state is shown too.</param>
    /// <param name="cancellationToken">Ends the inspection early.</param>
    /// <returns>The page.</returns>
    /// <exception cref="IommufdException">EBADF where the context is closed.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ContextInspection> InspectAsync(
        ObjectId after = default, int limit = IoctlLimits.MaxInspectionPage, bool withState = false, CancellationToken cancellationToken = default)
        => Inspections.InspectAsync(_core.Transport, _grain, new InspectRequest(after, limit, withState), cancellationToken);

    /// <summary>Shows one object with a part of its own long lists, such as the areas of an IOAS. Does not wait for requests that run.</summary>
    /// <param name="id">The object.</param>
    /// <param name="page">Which part; of an IOAS, from which IOVA on.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The object; null where there is none.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page, CancellationToken cancellationToken = default)
        => Inspections.InspectObjectAsync(_core.Transport, _grain, id, page, cancellationToken);

    /// <summary>Shows who holds whom, from an object or in the whole context. Does not wait for requests that run.</summary>
    /// <param name="root">The object to start at; default for the whole context.</param>
    /// <param name="direction">Which way to follow.</param>
    /// <param name="limit">At most so many nodes.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The graph.</returns>
    /// <exception cref="IommufdException">EBADF where the context is closed, ENOENT without such an object.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<HolderGraph> InspectGraphAsync(
        ObjectId root = default, GraphDirection direction = GraphDirection.Both, int limit = IoctlLimits.MaxInspectionPage, CancellationToken cancellationToken = default)
        => Inspections.InspectGraphAsync(_core.Transport, _grain, new GraphRequest(root, direction, limit), cancellationToken);

    /// <summary>Says what must be let go, in which order, before an object can be destroyed. Does not wait for requests that run, and changes nothing.</summary>
    /// <param name="id">The object.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The steps; none where nothing is in the way.</returns>
    /// <exception cref="IommufdException">EBADF where the context is closed, ENOENT without such an object.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<BusyExplanation> ExplainBusyAsync(ObjectId id, CancellationToken cancellationToken = default)
        => Inspections.ExplainBusyAsync(_core.Transport, _grain, id, cancellationToken);
}
