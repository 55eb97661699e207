using Orleans.Concurrency;

namespace IommuFd.GrainInterfaces;

/// <summary>
/// A context: what opening <c>/dev/iommu</c> creates. Its key is the <see cref="ContextKey"/>, which is no secret. Each call carries the handle,
/// which is: with another handle it is answered as if the context were not open. Each call is one turn. Turns don't interleave, so they stand in
/// for the kernel's locks. Only inspections and renewals interleave: they see the state between two steps of a running turn. A call that the
/// activation must not answer, because it can't make the outcome durable, throws <see cref="ContextUnavailableException"/>: send it again under
/// the same name. No call throws for a caller's mistake: each answers an errno.
/// </summary>
[Alias("IommuFd.IContextGrain")]
public interface IContextGrain : IGrainWithGuidKey
{
    /// <summary>Opens the context (<c>iommufd_fops_open</c>) and takes its first file reference.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Mode and name.</param>
    /// <returns>The reference; EEXIST if the handle is already open, EINVAL for a bad name.</returns>
    [Alias("Open")]
    Task<ReferenceReply> OpenAsync(ContextHandle handle, OpenRequest request);

    /// <summary>Runs one ioctl (<c>iommufd_fops_ioctl</c>).</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">The ioctl.</param>
    /// <param name="operation">The request's name.</param>
    /// <returns>The reply; EBADF without an open context.</returns>
    [Alias("Ioctl")]
    ValueTask<IoctlReply> IoctlAsync(ContextHandle handle, IoctlRequest request, OperationId operation);

    /// <summary>Runs several ioctls in one turn.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">The ioctls.</param>
    /// <param name="operation">The batch's name.</param>
    /// <returns>The replies, in order.</returns>
    [Alias("IoctlBatch")]
    ValueTask<IoctlBatchReply> IoctlBatchAsync(ContextHandle handle, IoctlBatchRequest request, OperationId operation);

    /// <summary>Runs ioctls of which each is a request of its own, in one turn.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="group">The ioctls and their names.</param>
    /// <returns>
    /// One reply for each, in order: what <see cref="IoctlAsync"/> would have answered one after the other. E2BIG as for a batch: nothing has
    /// run then.
    /// </returns>
    [Alias("IoctlGroup")]
    ValueTask<IoctlBatchReply> IoctlGroupAsync(ContextHandle handle, IoctlGroup group);

    /// <summary>Returns the next part of a batch's answer, which was too long for one message. Runs nothing.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="operation">The batch's name.</param>
    /// <param name="from">How many replies the caller has.</param>
    /// <returns>
    /// The next replies, and how many are <see cref="IoctlBatchReply.Missing"/> then; ESTALE if the batch is settled, or its answer is not
    /// kept; EBADF without a context or session.
    /// </returns>
    [Alias("IoctlBatchRest")]
    ValueTask<IoctlBatchReply> IoctlBatchRestAsync(ContextHandle handle, OperationId operation, int from);

    /// <summary>Takes another reference (<c>iommufd_ctx_get</c>, or <c>dup</c> of the file).</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Its kind and name.</param>
    /// <returns>The reference; EBADF without an open context, EINVAL for a bad name, EMFILE if the context has the maximum.</returns>
    [Alias("Get")]
    Task<ReferenceReply> GetAsync(ContextHandle handle, GetRequest request);

    /// <summary>Renews the leases of references. Interleaves with a running turn.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="references">The references, at most <see cref="IoctlLimits.MaxReferences"/>.</param>
    /// <returns>Those that are gone; EBADF without such a context.</returns>
    [Alias("Renew")]
    [AlwaysInterleave]
    Task<RenewReply> RenewAsync(ContextHandle handle, ReferenceId[] references);

    /// <summary>
    /// Puts a reference (<c>iommufd_ctx_put</c>, or closing the file), with every hold taken through it. Putting the last one releases the
    /// context: its objects are destroyed, leaves first.
    /// </summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="reference">The reference.</param>
    /// <returns>The release, if any; EBADF without such a reference.</returns>
    [Alias("Put")]
    [ResponseTimeout("00:10:00")]
    Task<PutReply> PutAsync(ContextHandle handle, ReferenceId reference);

    /// <summary>Runs a driver's request on its devices and accesses.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="reference">The driver's reference.</param>
    /// <param name="request">The request.</param>
    /// <param name="operation">The request's name.</param>
    /// <returns>The answer; EBADF without such a driver's reference.</returns>
    [Alias("Driver")]
    ValueTask<DriverReply> DriverAsync(ContextHandle handle, ReferenceId reference, DriverRequest request, OperationId operation);

    /// <summary>Reads or writes a file that an ioctl has opened.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="target">What the file leads to.</param>
    /// <param name="request">The read or the write.</param>
    /// <param name="operation">The request's name, in the session of the file.</param>
    /// <returns>The answer; EBADF without such a file of an open context, EINVAL for a file that can't be read or written.</returns>
    [Alias("File")]
    ValueTask<FileReply> FileAsync(ContextHandle handle, FileTarget target, FileRequest request, OperationId operation);

    /// <summary>
    /// Says what can be done with a file that an ioctl has opened (<c>poll</c>), at once or as soon as there is something to read.
    /// Interleaves with a running turn and changes nothing.
    /// </summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="target">What the file leads to.</param>
    /// <param name="wait">How long to wait for something to read: at most <see cref="IoctlLimits.MaxPollWaitMs"/> milliseconds.</param>
    /// <returns>The events; EBADF without such a file of an open context.</returns>
    [Alias("PollFile")]
    [AlwaysInterleave]
    ValueTask<PollReply> PollFileAsync(ContextHandle handle, FileTarget target, TimeSpan wait);

    /// <summary>Returns the context and a page of its objects. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Which objects.</param>
    /// <param name="cancellationToken">Ends the collection of object states early.</param>
    /// <returns>The page; EBADF without an open context.</returns>
    [Alias("Inspect")]
    [AlwaysInterleave]
    Task<ContextInspection> InspectAsync(ContextHandle handle, InspectRequest request, CancellationToken cancellationToken);

    /// <summary>Returns one object with a part of its own long lists. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="id">The object.</param>
    /// <param name="page">Which part.</param>
    /// <returns>The object; null without an open context or such an object.</returns>
    [Alias("InspectObject")]
    [AlwaysInterleave]
    Task<ObjectInspection?> InspectObjectAsync(ContextHandle handle, ObjectId id, StatePage page);

    /// <summary>Returns who holds whom. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Where to start, and how much to return.</param>
    /// <returns>The graph; EBADF without an open context, ENOENT without such an object.</returns>
    [Alias("InspectGraph")]
    [AlwaysInterleave]
    Task<HolderGraph> InspectGraphAsync(ContextHandle handle, GraphRequest request);

    /// <summary>
    /// Returns the last ioctls. Interleaves with a running turn and changes only how many are kept: more, for a while after each call.
    /// </summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="request">Which ioctls.</param>
    /// <returns>The ioctls; EBADF without an open context.</returns>
    [Alias("Tail")]
    [AlwaysInterleave]
    Task<TailReply> TailAsync(ContextHandle handle, TailRequest request);

    /// <summary>
    /// Returns the steps, in order, after which an object can be destroyed. Interleaves with a running turn and changes nothing.
    /// </summary>
    /// <param name="handle">The context's handle.</param>
    /// <param name="id">The object.</param>
    /// <returns>The steps; EBADF without an open context, ENOENT without such an object.</returns>
    [Alias("ExplainBusy")]
    [AlwaysInterleave]
    Task<BusyExplanation> ExplainBusyAsync(ContextHandle handle, ObjectId id);
}
