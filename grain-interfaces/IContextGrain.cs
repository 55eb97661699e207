using Orleans.Concurrency;

namespace IommuFd.GrainInterfaces;

/// <summary>
/// A context: what opening <c>/dev/iommu</c> makes. Its key is its <see cref="ContextHandle"/>. Each call is one turn; turns don't interleave, so that
/// they stand in for the kernel's locks, except <see cref="InspectAsync"/>, which shows the state between two steps of a running turn.
/// No call throws for what a caller did wrong: each answers an errno.
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
    /// <param name="kind">Whether it makes the context answer ioctls.</param>
    /// <param name="name">Who takes it: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
    /// <returns>The reference; EBADF without an open context, EINVAL for a bad name.</returns>
    [Alias("Get")]
    Task<ReferenceReply> GetAsync(ReferenceKind kind, string name);

    /// <summary>
    /// Puts a reference back (<c>iommufd_ctx_put</c>, or closing the file), with every hold that was taken through it. The last one releases the context:
    /// its objects are destroyed, leaves first.
    /// </summary>
    /// <param name="reference">The reference.</param>
    /// <returns>What was released, if anything; EBADF without such a reference.</returns>
    [Alias("Put")]
    [ResponseTimeout("00:10:00")]
    Task<PutReply> PutAsync(ReferenceId reference);

    /// <summary>Lets a driver hold an object: adds 1 to its users count, under the driver's name.</summary>
    /// <param name="reference">The driver's reference.</param>
    /// <param name="id">The object.</param>
    /// <param name="type">The kind it must have, or <see cref="ObjectType.Any"/>.</param>
    /// <param name="why">What the hold is for: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
    /// <returns>The hold; EBADF without such a driver's reference, ENOENT without such an object, EINVAL for a bad name.</returns>
    [Alias("Hold")]
    Task<ReferenceReply> HoldAsync(ReferenceId reference, ObjectId id, ObjectType type, string why);

    /// <summary>Drops a driver's hold: takes 1 from the object's users count.</summary>
    /// <param name="reference">The driver's reference.</param>
    /// <param name="hold">The hold.</param>
    /// <returns>EBADF without such a reference, ENOENT where it has no such hold.</returns>
    [Alias("Drop")]
    Task<PutReply> DropAsync(ReferenceId reference, HoldId hold);

    /// <summary>Does what a driver asks with its devices and accesses.</summary>
    /// <param name="reference">The driver's reference.</param>
    /// <param name="request">What it asks.</param>
    /// <returns>The answer; EBADF without such a driver's reference.</returns>
    [Alias("Driver")]
    ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request);

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
}
