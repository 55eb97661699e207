using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>The calls of a context's grain, each with the handle. Those who call a context have this and not the grain.</summary>
internal sealed class ContextCalls(IContextGrain grain, ContextHandle handle)
{
    public ContextHandle Handle => handle;

    public ContextKey Key { get; } = handle.Key;

    public Task<ReferenceReply> OpenAsync(OpenRequest request) => grain.OpenAsync(handle, request);

    public Task<ReferenceReply> GetAsync(GetRequest request) => grain.GetAsync(handle, request);

    public Task<PutReply> PutAsync(ReferenceId reference) => grain.PutAsync(handle, reference);

    public Task<RenewReply> RenewAsync(ReferenceId[] references) => grain.RenewAsync(handle, references);

    public ValueTask<IoctlReply> IoctlAsync(IoctlRequest request, OperationId operation) => grain.IoctlAsync(handle, request, operation);

    public ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request, OperationId operation) => grain.IoctlBatchAsync(handle, request, operation);

    public ValueTask<IoctlBatchReply> IoctlBatchRestAsync(OperationId operation, int from) => grain.IoctlBatchRestAsync(handle, operation, from);

    public ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation) => grain.DriverAsync(handle, reference, request, operation);

    public ValueTask<FileReply> FileAsync(FileTarget target, FileRequest request, OperationId operation) => grain.FileAsync(handle, target, request, operation);

    public ValueTask<PollReply> PollFileAsync(FileTarget target, TimeSpan wait) => grain.PollFileAsync(handle, target, wait);

    public Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken) => grain.InspectAsync(handle, request, cancellationToken);

    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page) => grain.InspectObjectAsync(handle, id, page);

    public Task<HolderGraph> InspectGraphAsync(GraphRequest request) => grain.InspectGraphAsync(handle, request);

    public Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => grain.ExplainBusyAsync(handle, id);

    public Task<TailReply> TailAsync(TailRequest request) => grain.TailAsync(handle, request);
}
