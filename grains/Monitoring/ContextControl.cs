using IommuFd.GrainInterfaces;
using IommuFd.Grains.Proofs;

namespace IommuFd.Grains.Monitoring;

/// <summary>Reaches contexts by their keys, for the silo itself and its dashboard.</summary>
public sealed class ContextControls
{
    private readonly IGrainFactory _grains;
    private readonly SiloProofs _proofs;

    internal ContextControls(IGrainFactory grains, SiloProofs proofs) => (_grains, _proofs) = (grains, proofs);

    /// <summary>The control of a context. Sends nothing, and so does not check whether the context is open.</summary>
    /// <param name="key">The context's key.</param>
    /// <returns>The control.</returns>
    public ContextControl Of(ContextKey key) => new(_grains.GetGrain<IContextControl>(key.Value), key, _proofs.Own);
}

/// <summary>What a silo can ask of a context, which it knows by its key.</summary>
public sealed class ContextControl
{
    private readonly IContextControl _grain;
    private readonly SiloProof _proof;

    internal ContextControl(IContextControl grain, ContextKey key, SiloProof proof) => (_grain, Key, _proof) = (grain, key, proof);

    /// <summary>The context's key.</summary>
    public ContextKey Key { get; }

    /// <summary>Puts the references whose leases have expired. If the context's silo is gone, the context recovers first, and all its references get a full lease.</summary>
    /// <returns>When it is done.</returns>
    public Task SweepAsync() => _grain.SweepAsync(_proof);

    /// <summary>Runs an operator's request in place of the context's owners, and logs it with the operator's name.</summary>
    /// <param name="request">The request.</param>
    /// <returns>The release, if any; EBADF without such a context or reference, ENOENT without such a hold, EINVAL for a bad name.</returns>
    public Task<PutReply> OperateAsync(OperatorRequest request) => _grain.OperateAsync(_proof, request);

    /// <inheritdoc cref="IContextGrain.InspectAsync"/>
    public Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken) => _grain.InspectAsync(_proof, request, cancellationToken);

    /// <inheritdoc cref="IContextGrain.InspectObjectAsync"/>
    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page) => _grain.InspectObjectAsync(_proof, id, page);

    /// <inheritdoc cref="IContextGrain.InspectGraphAsync"/>
    public Task<HolderGraph> InspectGraphAsync(GraphRequest request) => _grain.InspectGraphAsync(_proof, request);

    /// <inheritdoc cref="IContextGrain.ExplainBusyAsync"/>
    public Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => _grain.ExplainBusyAsync(_proof, id);

    /// <inheritdoc cref="IContextGrain.TailAsync"/>
    public Task<TailReply> TailAsync(TailRequest request) => _grain.TailAsync(_proof, request);

    internal Task HandOverAsync(SiloAddress destination) => _grain.HandOverAsync(_proof, destination);
}
