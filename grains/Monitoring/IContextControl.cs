using IommuFd.GrainInterfaces;
using IommuFd.Grains.Proofs;
using Orleans.Concurrency;

namespace IommuFd.Grains.Monitoring;

/// <summary>
/// What silos ask of a context for themselves, for people and for operators: they know its key and not its handle. Clients have no such contract. Without an open
/// context, or without the proof of a silo, each call answers as its like of <see cref="IContextGrain"/> does.
/// </summary>
[Alias("IommuFd.IContextControl")]
internal interface IContextControl : IGrainWithGuidKey
{
    /// <summary>
    /// Moves a volatile context to another silo, since this one stops. Calls that arrive meanwhile throw <see cref="ContextUnavailableException"/>,
    /// and their callers send them again.
    /// </summary>
    [Alias("HandOver")]
    [ResponseTimeout("00:10:00")]
    Task HandOverAsync(SiloProof proof, SiloAddress destination);

    /// <summary>
    /// Puts the references whose leases have expired, as the exit of their owners would have. If the context's silo is gone, the context
    /// recovers first, and all its references get a full lease. References with a valid lease are unaffected.
    /// </summary>
    [Alias("Sweep")]
    Task SweepAsync(SiloProof proof);

    /// <summary>
    /// Runs an operator's request in place of the context's owners, and logs it with the operator's name. EBADF without such a context or
    /// reference, ENOENT without such a hold, EINVAL for a bad name.
    /// </summary>
    [Alias("Operate")]
    [ResponseTimeout("00:10:00")]
    Task<PutReply> OperateAsync(SiloProof proof, OperatorRequest request);

    /// <inheritdoc cref="IContextGrain.InspectAsync"/>
    [Alias("Inspect")]
    [AlwaysInterleave]
    Task<ContextInspection> InspectAsync(SiloProof proof, InspectRequest request, CancellationToken cancellationToken);

    /// <inheritdoc cref="IContextGrain.InspectObjectAsync"/>
    [Alias("InspectObject")]
    [AlwaysInterleave]
    Task<ObjectInspection?> InspectObjectAsync(SiloProof proof, ObjectId id, StatePage page);

    /// <inheritdoc cref="IContextGrain.InspectGraphAsync"/>
    [Alias("InspectGraph")]
    [AlwaysInterleave]
    Task<HolderGraph> InspectGraphAsync(SiloProof proof, GraphRequest request);

    /// <inheritdoc cref="IContextGrain.ExplainBusyAsync"/>
    [Alias("ExplainBusy")]
    [AlwaysInterleave]
    Task<BusyExplanation> ExplainBusyAsync(SiloProof proof, ObjectId id);

    /// <inheritdoc cref="IContextGrain.TailAsync"/>
    [Alias("Tail")]
    [AlwaysInterleave]
    Task<TailReply> TailAsync(SiloProof proof, TailRequest request);
}
