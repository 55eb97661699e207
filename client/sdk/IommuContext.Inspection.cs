using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <content>Inspections of the context. They change nothing and do not wait for running requests.</content>
public sealed partial class IommuContext
{
    /// <summary>Shows the context and a page of its objects. Does not wait for running requests.</summary>
    /// <param name="after">Shows only objects with greater ids; default starts at the first object.</param>
    /// <param name="limit">The most objects to show.</param>
    /// <param name="withState">Whether to show each object's own state too.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The page.</returns>
    /// <exception cref="IommufdException">EBADF if the context is closed.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ContextInspection> InspectAsync(
        ObjectId after = default, int limit = IoctlLimits.MaxInspectionPage, bool withState = false, CancellationToken cancellationToken = default)
        => Inspections.InspectAsync(_core.Transport, _grain, new InspectRequest(after, limit, withState), cancellationToken);

    /// <summary>Shows one object with a page of its own long lists, such as the areas of an IOAS. Does not wait for running requests.</summary>
    /// <param name="id">The object.</param>
    /// <param name="page">Which page; for an IOAS, from which IOVA on.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The object; null if there is none.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page, CancellationToken cancellationToken = default)
        => Inspections.InspectObjectAsync(_core.Transport, _grain, id, page, cancellationToken);

    /// <summary>Shows who holds whom, from an object or in the whole context. Does not wait for running requests.</summary>
    /// <param name="root">The object to start from; default shows the whole context.</param>
    /// <param name="direction">Which way to follow holds.</param>
    /// <param name="limit">The most nodes to show.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The graph.</returns>
    /// <exception cref="IommufdException">EBADF if the context is closed, ENOENT if there is no such object.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<HolderGraph> InspectGraphAsync(
        ObjectId root = default, GraphDirection direction = GraphDirection.Both, int limit = IoctlLimits.MaxInspectionPage, CancellationToken cancellationToken = default)
        => Inspections.InspectGraphAsync(_core.Transport, _grain, new GraphRequest(root, direction, limit), cancellationToken);

    /// <summary>Lists the holds to release, in order, before an object can be destroyed. Does not wait for running requests, and changes nothing.</summary>
    /// <param name="id">The object.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The steps; none if nothing holds the object.</returns>
    /// <exception cref="IommufdException">EBADF if the context is closed, ENOENT if there is no such object.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<BusyExplanation> ExplainBusyAsync(ObjectId id, CancellationToken cancellationToken = default)
        => Inspections.ExplainBusyAsync(_core.Transport, _grain, id, cancellationToken);
}
