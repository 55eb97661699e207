using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;

namespace IommuFd.Grains.Contexts;

/// <content>The entry points of what silos ask.</content>
internal sealed partial class ContextGrain : IContextControl
{
    Task IContextControl.HandOverAsync(SiloAddress destination) => HandOverAsync(destination);

    Task IContextControl.SweepAsync() => SweepAsync();

    Task<PutReply> IContextControl.OperateAsync(OperatorRequest request) => OperateAsync(isAdmitted: true, request);

    Task<ContextInspection> IContextControl.InspectAsync(InspectRequest request, CancellationToken cancellationToken)
        => InspectAsync(isAdmitted: true, request, cancellationToken);

    Task<ObjectInspection?> IContextControl.InspectObjectAsync(ObjectId id, StatePage page) => InspectObjectAsync(isAdmitted: true, id, page);

    Task<HolderGraph> IContextControl.InspectGraphAsync(GraphRequest request) => InspectGraphAsync(isAdmitted: true, request);

    Task<BusyExplanation> IContextControl.ExplainBusyAsync(ObjectId id) => ExplainBusyAsync(isAdmitted: true, id);

    Task<TailReply> IContextControl.TailAsync(TailRequest request) => TailAsync(isAdmitted: true, request);
}
