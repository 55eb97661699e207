using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;

namespace IommuFd.Client;

/// <summary>Reaches contexts by a silo's gateway. A connection that ends is made anew by the next call.</summary>
internal sealed class GatewayChannel(GatewayAddress address, string name) : IContextChannel
{
    private readonly Lock _lock = new();
    private readonly ulong _program = (ulong)Session.NewId();
    private Task<GatewayConnection>? _connection;

    /// <summary>The socket's path, or the URL.</summary>
    public string ServerAddress => address.Text;

    public ContextCalls Find(ContextHandle handle) => new GatewayCalls(this, handle);

    public Task<FaultPage> ListFaultsAsync(ContextHandle? handle, FaultQuery query) => new GatewayCalls(this, handle ?? default).ListFaultsAsync(query);

    /// <summary>The connection.</summary>
    /// <exception cref="IOException">No gateway answers.</exception>
    public Task<GatewayConnection> ConnectAsync()
    {
        lock (_lock)
        {
            if (_connection is null || _connection.IsFaulted || (_connection.IsCompletedSuccessfully && _connection.Result.IsEnded))
            {
                _connection = GatewayConnection.ConnectAsync(address, _program, name);
            }

            return _connection;
        }
    }
}

/// <summary>The calls of a context, by a gateway.</summary>
internal sealed class GatewayCalls(GatewayChannel channel, ContextHandle handle) : ContextCalls(handle)
{
    // Set once, before the reference that came with it is used.
    private ContextKey? _key;

    public override ContextKey Key => _key ?? Handle.Key;

    public override Task<ReferenceReply> OpenAsync(OpenRequest request) => ReferAsync(CallMethod.Open, request);

    public override Task<ReferenceReply> GetAsync(GetRequest request) => ReferAsync(CallMethod.Get, request);

    public override Task<PutReply> PutAsync(ReferenceId reference) => CallAsync<PutCall, PutReply>(CallMethod.Put, new(reference));

    public override Task<RenewReply> RenewAsync(ReferenceId[] references) => CallAsync<RenewCall, RenewReply>(CallMethod.Renew, new(references));

    public override ValueTask<IoctlReply> IoctlAsync(IoctlRequest request, OperationId operation) => new(SendAsync(
        FrameKind.HandleIoctl, WireSize.Of(request), (Handle, request, operation),
        static (writer, tag, call) => HandleIoctl.Write(writer, tag, call.Handle, call.request, call.operation), HandleIoctl.Read));

    public override ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request, OperationId operation) => new(SendAsync(
        FrameKind.HandleBatch, WireSize.Of(request.Requests), (Handle, request, operation),
        static (writer, tag, call) => HandleIoctl.Write(writer, tag, call.Handle, call.request, call.operation), HandleIoctl.ReadBatchAnswer));

    // As binary as the first part of the answer.
    public override ValueTask<IoctlBatchReply> IoctlBatchRestAsync(OperationId operation, int from)
        => new(SendAsync(CallMethod.BatchRest, new RestCall(operation, from), HandleIoctl.ReadBatchAnswer));

    public override ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation)
        => new(CallAsync<DriverCallMessage, DriverReply>(CallMethod.Driver, new(reference, request, operation)));

    public override ValueTask<FileReply> FileAsync(FileTarget target, FileRequest request, OperationId operation)
        => new(CallAsync<FileCallMessage, FileReply>(CallMethod.File, new(target, request, operation)));

    public override ValueTask<PollReply> PollFileAsync(FileTarget target, TimeSpan wait) => new(CallAsync<PollCall, PollReply>(CallMethod.Poll, new(target, wait)));

    public override Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken)
        => CallAsync<InspectRequest, ContextInspection>(CallMethod.Inspect, request).WaitAsync(cancellationToken);

    public override async Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page)
        => (await CallAsync<ObjectCall, ObjectAnswer>(CallMethod.InspectObject, new(id, page)).ConfigureAwait(false)).Object;

    public override Task<HolderGraph> InspectGraphAsync(GraphRequest request) => CallAsync<GraphRequest, HolderGraph>(CallMethod.InspectGraph, request);

    public override Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => CallAsync<ExplainCall, BusyExplanation>(CallMethod.ExplainBusy, new(id));

    public override Task<TailReply> TailAsync(TailRequest request) => CallAsync<TailRequest, TailReply>(CallMethod.Tail, request);

    public Task<FaultPage> ListFaultsAsync(FaultQuery query) => CallAsync<FaultQuery, FaultPage>(CallMethod.ListFaults, query);

    public override Task<GrantReply> GrantAsync(string identity) => SendAsync(
        FrameKind.Grant, identity.Length, (Handle, identity), static (writer, tag, grant) => GrantFrame.Write(writer, tag, grant.Handle, grant.identity), GrantFrame.ReadAnswer);

    private async Task<ReferenceReply> ReferAsync<TRequest>(CallMethod method, TRequest request)
    {
        var referred = await CallAsync<TRequest, Referred>(method, request).ConfigureAwait(false);
        _key = referred.Key;
        return referred.Reply;
    }

    private Task<TReply> CallAsync<TRequest, TReply>(CallMethod method, TRequest request)
        => SendAsync(method, request, static (ref FrameReader reader) => WireJson.Read<TReply>(reader.Span(reader.Left)));

    private Task<TReply> SendAsync<TRequest, TReply>(CallMethod method, TRequest request, AnswerReader<TReply> read)
    {
        var message = WireJson.Write(request);
        return SendAsync(
            FrameKind.Call, message.Length, (Handle, method, message), static (writer, tag, call) => CallFrame.Write(writer, tag, call.Handle, call.method, call.message), read);
    }

    private async Task<TReply> SendAsync<TState, TReply>(FrameKind kind, long bytes, TState state, Action<FrameWriter, uint, TState> write, AnswerReader<TReply> read)
    {
        var connection = await channel.ConnectAsync().ConfigureAwait(false);
        if (bytes > connection.MaxBody)
        {
            throw new IommufdException(kind == FrameKind.HandleBatch ? "batch" : "ioctl", Uapi.Errno.E2BIG, null);
        }

        return await connection.CallAsync(state, write, read).ConfigureAwait(false);
    }
}
