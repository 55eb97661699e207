using Orleans.Concurrency;

namespace IommuFd.GrainInterfaces;

/// <summary>
/// A context: what opening <c>/dev/iommu</c> makes. Its key is its <see cref="ContextHandle"/>. Each call is one turn; turns don't interleave, so that
/// they stand in for the kernel's locks, except <see cref="InspectAsync"/>, which shows the state between two steps of a running turn.
/// A call that this activation must not answer, since it can't be made to last, throws <see cref="ContextUnavailableException"/>: send it again, with the same name. No call throws for what a caller did wrong: each answers an errno.
/// </summary>
[Alias("IommuFd.IContextGrain")]
public interface IContextGrain : IGrainWithGuidKey
{
    /// <summary>Opens the context (<c>iommufd_fops_open</c>) and takes its first file reference.</summary>
    /// <param name="request">Mode and name.</param>
    /// <returns>The reference; EEXIST where the handle is open already, EINVAL for a bad name.</returns>
    [Alias("Open")]
    Task<ReferenceReply> OpenAsync(OpenRequest request);

    /// <summary>Runs one ioctl (<c>iommufd_fops_ioctl</c>).</summary>
    /// <param name="request">The ioctl.</param>
    /// <returns>What it answered; EBADF without an open context.</returns>
    [Alias("Ioctl")]
    ValueTask<IoctlReply> IoctlAsync(IoctlRequest request);

    /// <summary>Runs several ioctls in one turn.</summary>
    /// <param name="request">The ioctls.</param>
    /// <returns>What they answered, in order.</returns>
    [Alias("IoctlBatch")]
    ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request);

    /// <summary>Takes a further reference (<c>iommufd_ctx_get</c>, or <c>dup</c> of the file).</summary>
    /// <param name="request">Which.</param>
    /// <returns>The reference; EBADF without an open context, EINVAL for a bad name, EMFILE where the context has as many as it may.</returns>
    [Alias("Get")]
    Task<ReferenceReply> GetAsync(GetRequest request);

    /// <summary>Says that whoever has references is still there. Interleaves with a running turn.</summary>
    /// <param name="references">The references, at most <see cref="IoctlLimits.MaxReferences"/>.</param>
    /// <returns>Which of them are gone; EBADF without such a context.</returns>
    [Alias("Renew")]
    [AlwaysInterleave]
    Task<RenewReply> RenewAsync(ReferenceId[] references);

    /// <summary>
    /// Puts back the references whose lease is over, as their owners' end would have. Where the context was on a silo that is gone, this rebuilds it first;
    /// its references have a whole lease then. For the silos' sweepers; does no harm to anybody whose lease is not over.
    /// </summary>
    /// <returns>When it is done.</returns>
    [Alias("Sweep")]
    Task SweepAsync();

    /// <summary>
    /// Puts a reference back (<c>iommufd_ctx_put</c>, or closing the file), with every hold that was taken through it. The last one releases the context:
    /// its objects are destroyed, leaves first.
    /// </summary>
    /// <param name="reference">The reference.</param>
    /// <returns>What was released, if anything; EBADF without such a reference.</returns>
    [Alias("Put")]
    [ResponseTimeout("00:10:00")]
    Task<PutReply> PutAsync(ReferenceId reference);

    /// <summary>Does what a driver asks with its devices and accesses.</summary>
    /// <param name="reference">The driver's reference.</param>
    /// <param name="request">What it asks.</param>
    /// <param name="operation">The request's name.</param>
    /// <returns>The answer; EBADF without such a driver's reference.</returns>
    [Alias("Driver")]
    ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation);

    /// <summary>Shows the context and a page of its objects. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="request">Which objects.</param>
    /// <param name="cancellationToken">Ends the collection of object states early.</param>
    /// <returns>The page; EBADF without an open context.</returns>
    [Alias("Inspect")]
    [AlwaysInterleave]
    Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken);

    /// <summary>Shows one object with a part of its own long lists. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="id">The object.</param>
    /// <param name="page">Which part.</param>
    /// <returns>The object; null without an open context or such an object.</returns>
    [Alias("InspectObject")]
    [AlwaysInterleave]
    Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page);

    /// <summary>Shows who holds whom. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="request">From where, and how much.</param>
    /// <returns>The graph; EBADF without an open context, ENOENT without such an object.</returns>
    [Alias("InspectGraph")]
    [AlwaysInterleave]
    Task<HolderGraph> InspectGraphAsync(GraphRequest request);

    /// <summary>Shows the last ioctls. Interleaves with a running turn and changes nothing but how many are kept: more, for a while, where somebody looks.</summary>
    /// <param name="request">Which.</param>
    /// <returns>The ioctls; EBADF without an open context.</returns>
    [Alias("Tail")]
    [AlwaysInterleave]
    Task<TailReply> TailAsync(TailRequest request);

    /// <summary>Says what must be let go, in which order, before an object can be destroyed. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="id">The object.</param>
    /// <returns>The steps; EBADF without an open context, ENOENT without such an object.</returns>
    [Alias("ExplainBusy")]
    [AlwaysInterleave]
    Task<BusyExplanation> ExplainBusyAsync(ObjectId id);

    /// <summary>Does what an operator asks, in the place of the context's owners. It is logged with the operator's name.</summary>
    /// <param name="request">What.</param>
    /// <returns>What was released, if anything; EBADF without such a context or reference, ENOENT without such a hold, EINVAL for a bad name.</returns>
    [Alias("Operate")]
    [ResponseTimeout("00:10:00")]
    Task<PutReply> OperateAsync(OperatorRequest request);
}
