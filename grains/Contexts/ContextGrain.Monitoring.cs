using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Contexts;

/// <content>What people see of a context who look at it, and what operators do.</content>
internal sealed partial class ContextGrain
{
    public Task<TailReply> TailAsync(TailRequest request) => throw new NotImplementedException();

    public Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => throw new NotImplementedException();

    public Task<PutReply> OperateAsync(OperatorRequest request) => throw new NotImplementedException();
}
