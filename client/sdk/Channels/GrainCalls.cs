using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>The calls of a context's grain, each with the handle. What changes the context goes behind the ioctls that wait to go together.</summary>
internal sealed class GrainCalls(IContextGrain grain, ContextHandle handle) : ContextCalls(handle)
{
    private readonly IoctlCombiner _ioctls = new(grain, handle);

    public override ContextKey Key { get; } = handle.Key;

    private IContextGrain Next
    {
        get
        {
            _ioctls.Flush();
            return grain;
        }
    }

    public override Task<ReferenceReply> OpenAsync(OpenRequest request) => grain.OpenAsync(Handle, request);

    public override Task<ReferenceReply> GetAsync(GetRequest request) => grain.GetAsync(Handle, request);

    public override Task<PutReply> PutAsync(ReferenceId reference) => Next.PutAsync(Handle, reference);

    public override Task<RenewReply> RenewAsync(ReferenceId[] references) => grain.RenewAsync(Handle, references);

    public override ValueTask<IoctlReply> IoctlAsync(IoctlRequest request, OperationId operation) => Next.IoctlAsync(Handle, request, operation);

    public override bool TryCombine(ICombinedIoctl ioctl)
    {
        _ioctls.Send(ioctl);
        return true;
    }

    public override ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request, OperationId operation) => Next.IoctlBatchAsync(Handle, request, operation);

    public override ValueTask<IoctlBatchReply> IoctlBatchRestAsync(OperationId operation, int from) => grain.IoctlBatchRestAsync(Handle, operation, from);

    public override ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation) => Next.DriverAsync(Handle, reference, request, operation);

    public override ValueTask<FileReply> FileAsync(FileTarget target, FileRequest request, OperationId operation) => Next.FileAsync(Handle, target, request, operation);

    public override ValueTask<PollReply> PollFileAsync(FileTarget target, TimeSpan wait) => grain.PollFileAsync(Handle, target, wait);

    public override Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken) => grain.InspectAsync(Handle, request, cancellationToken);

    public override Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page) => grain.InspectObjectAsync(Handle, id, page);

    public override Task<HolderGraph> InspectGraphAsync(GraphRequest request) => grain.InspectGraphAsync(Handle, request);

    public override Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => grain.ExplainBusyAsync(Handle, id);

    public override Task<TailReply> TailAsync(TailRequest request) => grain.TailAsync(Handle, request);
}
