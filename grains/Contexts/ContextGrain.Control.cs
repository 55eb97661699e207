using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using IommuFd.Grains.Proofs;

namespace IommuFd.Grains.Contexts;

/// <content>The entry points of what silos ask. A call without the proof of a silo is not admitted, and so answered as if no context were open.</content>
internal sealed partial class ContextGrain : IContextControl
{
    async Task IContextControl.HandOverAsync(SiloProof proof, SiloAddress destination)
    {
        if (await AdmitsAsync(proof))
        {
            await HandOverAsync(destination);
        }

        DeactivateUnlessOpen();
    }

    async Task IContextControl.SweepAsync(SiloProof proof)
    {
        if (await AdmitsAsync(proof))
        {
            await SweepAsync();
        }

        DeactivateUnlessOpen();
    }

    async Task<PutReply> IContextControl.OperateAsync(SiloProof proof, OperatorRequest request) => await OperateAsync(await AdmitsAsync(proof), request);

    async Task<ContextInspection> IContextControl.InspectAsync(SiloProof proof, InspectRequest request, CancellationToken cancellationToken)
        => await InspectAsync(await AdmitsAsync(proof), request, cancellationToken);

    async Task<ObjectInspection?> IContextControl.InspectObjectAsync(SiloProof proof, ObjectId id, StatePage page)
        => await InspectObjectAsync(await AdmitsAsync(proof), id, page);

    async Task<HolderGraph> IContextControl.InspectGraphAsync(SiloProof proof, GraphRequest request) => await InspectGraphAsync(await AdmitsAsync(proof), request);

    async Task<BusyExplanation> IContextControl.ExplainBusyAsync(SiloProof proof, ObjectId id) => await ExplainBusyAsync(await AdmitsAsync(proof), id);

    async Task<TailReply> IContextControl.TailAsync(SiloProof proof, TailRequest request) => await TailAsync(await AdmitsAsync(proof), request);

    private ValueTask<bool> AdmitsAsync(SiloProof proof) => proofs.IsGenuineAsync(proof, GrainContext.GrainId);
}
