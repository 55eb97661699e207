using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.Support;

/// <summary>A context whose methods a test overrides as needed. It can be opened and closed.</summary>
internal class FakeGrainBase : IContextGrain
{
    public virtual Task<ReferenceReply> OpenAsync(OpenRequest request)
        => Task.FromResult(new ReferenceReply(Errno.None, new ReferenceId(1), default, ContextMode.Volatile, null));

    public virtual ValueTask<IoctlReply> IoctlAsync(IoctlRequest request, OperationId operation) => throw new NotSupportedException();

    public virtual ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request, OperationId operation) => throw new NotSupportedException();

    public virtual ValueTask<IoctlBatchReply> IoctlBatchRestAsync(OperationId operation, int from) => throw new NotSupportedException();

    public virtual Task<ReferenceReply> GetAsync(GetRequest request) => throw new NotSupportedException();

    public virtual Task<RenewReply> RenewAsync(ReferenceId[] references) => throw new NotSupportedException();

    public Task SweepAsync() => throw new NotSupportedException();

    public virtual Task<PutReply> PutAsync(ReferenceId reference) => Task.FromResult(new PutReply(Errno.None, null, null));

    public virtual ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation) => throw new NotSupportedException();

    public virtual ValueTask<FileReply> FileAsync(FileTarget target, FileRequest request, OperationId operation) => throw new NotSupportedException();

    public virtual ValueTask<PollReply> PollFileAsync(FileTarget target, TimeSpan wait) => throw new NotSupportedException();

    public Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page) => throw new NotSupportedException();

    public Task<TailReply> TailAsync(TailRequest request) => throw new NotSupportedException();

    public Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => throw new NotSupportedException();

    public Task<PutReply> OperateAsync(OperatorRequest request) => throw new NotSupportedException();

    public Task<HolderGraph> InspectGraphAsync(GraphRequest request) => throw new NotSupportedException();
}
