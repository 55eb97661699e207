using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.Support;

/// <summary>A context whose methods a test overrides as needed. It can be opened and closed.</summary>
internal class FakeGrainBase : IContextGrain
{
    public virtual Task<ReferenceReply> OpenAsync(ContextHandle handle, OpenRequest request)
        => Task.FromResult(new ReferenceReply(Errno.None, new ReferenceId(1), default, ContextMode.Volatile, null));

    public virtual ValueTask<IoctlReply> IoctlAsync(ContextHandle handle, IoctlRequest request, OperationId operation) => throw new NotSupportedException();

    public virtual ValueTask<IoctlBatchReply> IoctlBatchAsync(ContextHandle handle, IoctlBatchRequest request, OperationId operation) => throw new NotSupportedException();

    public virtual ValueTask<IoctlBatchReply> IoctlGroupAsync(ContextHandle handle, IoctlGroup group) => throw new NotSupportedException();

    public virtual ValueTask<IoctlBatchReply> IoctlBatchRestAsync(ContextHandle handle, OperationId operation, int from) => throw new NotSupportedException();

    public virtual Task<ReferenceReply> GetAsync(ContextHandle handle, GetRequest request) => throw new NotSupportedException();

    public virtual Task<RenewReply> RenewAsync(ContextHandle handle, ReferenceId[] references) => throw new NotSupportedException();

    public virtual Task<PutReply> PutAsync(ContextHandle handle, ReferenceId reference) => Task.FromResult(new PutReply(Errno.None, null, null));

    public virtual ValueTask<DriverReply> DriverAsync(ContextHandle handle, ReferenceId reference, DriverRequest request, OperationId operation) => throw new NotSupportedException();

    public virtual ValueTask<FileReply> FileAsync(ContextHandle handle, FileTarget target, FileRequest request, OperationId operation) => throw new NotSupportedException();

    public virtual ValueTask<PollReply> PollFileAsync(ContextHandle handle, FileTarget target, TimeSpan wait) => throw new NotSupportedException();

    public Task<ContextInspection> InspectAsync(ContextHandle handle, InspectRequest request, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<ObjectInspection?> InspectObjectAsync(ContextHandle handle, ObjectId id, StatePage page) => throw new NotSupportedException();

    public Task<TailReply> TailAsync(ContextHandle handle, TailRequest request) => throw new NotSupportedException();

    public Task<BusyExplanation> ExplainBusyAsync(ContextHandle handle, ObjectId id) => throw new NotSupportedException();

    public Task<HolderGraph> InspectGraphAsync(ContextHandle handle, GraphRequest request) => throw new NotSupportedException();
}
