using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;

namespace IommuFd.Client;

/// <summary>The calls of a context, by its handle. Those who call a context have this, and not what reaches it.</summary>
internal abstract class ContextCalls(ContextHandle handle)
{
    public ContextHandle Handle => handle;

    /// <summary>The context's name within the service. By a gateway it is known once the context has answered.</summary>
    public abstract ContextKey Key { get; }

    public abstract Task<ReferenceReply> OpenAsync(OpenRequest request);

    public abstract Task<ReferenceReply> GetAsync(GetRequest request);

    public abstract Task<PutReply> PutAsync(ReferenceId reference);

    public abstract Task<RenewReply> RenewAsync(ReferenceId[] references);

    public abstract ValueTask<IoctlReply> IoctlAsync(IoctlRequest request, OperationId operation);

    /// <summary>Sends an ioctl together with others that are under way.</summary>
    /// <returns>Whether ioctls are sent so here. If not, nothing has happened.</returns>
    public virtual bool TryCombine(ICombinedIoctl ioctl) => false;

    public abstract ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request, OperationId operation);

    public abstract ValueTask<IoctlBatchReply> IoctlBatchRestAsync(OperationId operation, int from);

    public abstract ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation);

    public abstract ValueTask<FileReply> FileAsync(FileTarget target, FileRequest request, OperationId operation);

    public abstract ValueTask<PollReply> PollFileAsync(FileTarget target, TimeSpan wait);

    public abstract Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken);

    public abstract Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page);

    public abstract Task<HolderGraph> InspectGraphAsync(GraphRequest request);

    public abstract Task<BusyExplanation> ExplainBusyAsync(ObjectId id);

    public abstract Task<TailReply> TailAsync(TailRequest request);

    /// <summary>Asks for a handle by which another identity knows the context.</summary>
    /// <exception cref="NotSupportedException">Handles are bound to nobody here.</exception>
    public virtual Task<GrantReply> GrantAsync(string identity)
        => throw new NotSupportedException("Only a gateway binds handles to those who open contexts. By a grain factory the handle itself is what another program needs.");
}
