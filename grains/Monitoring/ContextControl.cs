using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

/// <summary>Reaches contexts by their keys, for the silo itself and its dashboard.</summary>
/// <param name="grains">Reaches the grains.</param>
public sealed class ContextControls(IGrainFactory grains)
{
    /// <summary>The control of a context. Sends nothing, and so does not check whether the context is open.</summary>
    /// <param name="key">The context's key.</param>
    /// <returns>The control.</returns>
    public ContextControl Of(ContextKey key) => new(grains.GetGrain<IContextControl>(key.Value), key);
}

/// <summary>What a silo can ask of a context, which it knows by its key.</summary>
public sealed class ContextControl
{
    private readonly IContextControl _grain;

    internal ContextControl(IContextControl grain, ContextKey key) => (_grain, Key) = (grain, key);

    /// <summary>The context's key.</summary>
    public ContextKey Key { get; }

    /// <summary>Puts the references whose leases have expired. If the context's silo is gone, the context recovers first, and all its references get a full lease.</summary>
    /// <returns>When it is done.</returns>
    public Task SweepAsync() => _grain.SweepAsync();

    /// <summary>Runs an operator's request in place of the context's owners, and logs it with the operator's name.</summary>
    /// <param name="request">The request.</param>
    /// <returns>The release, if any; EBADF without such a context or reference, ENOENT without such a hold, EINVAL for a bad name.</returns>
    public Task<PutReply> OperateAsync(OperatorRequest request) => _grain.OperateAsync(request);

    /// <inheritdoc cref="IContextGrain.InspectAsync"/>
    public Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken) => _grain.InspectAsync(request, cancellationToken);

    /// <inheritdoc cref="IContextGrain.InspectObjectAsync"/>
    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page) => _grain.InspectObjectAsync(id, page);

    /// <inheritdoc cref="IContextGrain.InspectGraphAsync"/>
    public Task<HolderGraph> InspectGraphAsync(GraphRequest request) => _grain.InspectGraphAsync(request);

    /// <inheritdoc cref="IContextGrain.ExplainBusyAsync"/>
    public Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => _grain.ExplainBusyAsync(id);

    /// <inheritdoc cref="IContextGrain.TailAsync"/>
    public Task<TailReply> TailAsync(TailRequest request) => _grain.TailAsync(request);

    internal Task HandOverAsync(SiloAddress destination) => _grain.HandOverAsync(destination);
}
