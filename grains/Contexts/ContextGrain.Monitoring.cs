using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;

namespace IommuFd.Grains.Contexts;

/// <content>What people see of a context who look at it, and what operators do.</content>
internal sealed partial class ContextGrain
{
    private MonitoredContext? _monitored;

    public Task<TailReply> TailAsync(TailRequest request)
        => Task.FromResult(_monitored is { } monitored ? monitored.Tail.Read(request) : new TailReply(ErrnoOf(NotOpen()), 0, 0, 0, []));

    public Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => throw new NotImplementedException();

    public Task<PutReply> OperateAsync(OperatorRequest request) => throw new NotImplementedException();

    // Without a context there is nobody to record it, but the silo has answered it.
    private IoctlReply Counted(IoctlRequest? request, IoctlReply reply)
    {
        statistics?.CountIoctl(request?.Command ?? 0, reply.Errno);
        return reply;
    }

    private IoctlReply Recorded(IoctlRequest? request, IoctlReply reply, long begun)
    {
        _monitored?.Record(request, reply, begun);
        return reply;
    }
}
