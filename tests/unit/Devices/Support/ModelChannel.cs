using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Inspection;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Devices.Support;

/// <summary>Real contexts without a silo: what the SDK sends is run by the handlers and models of the service, one request at a time.</summary>
internal sealed class ModelChannel : IContextChannel
{
    private readonly Dictionary<ContextHandle, ModelCalls> _contexts = [];

    public string ServerAddress => "test";

    public Task<FaultPage> ListFaultsAsync(ContextHandle? handle, FaultQuery query) => throw new NotSupportedException();

    public ContextCalls Find(ContextHandle handle)
    {
        lock (_contexts)
        {
            return _contexts.TryGetValue(handle, out var context) ? context : _contexts[handle] = new ModelCalls(handle);
        }
    }

    private sealed class ModelCalls(ContextHandle handle) : ContextCalls(handle)
    {
        private readonly OpenContext _context = new();

        private IoctlScope Scope => new(_context.Model, _context.ObjectGrains);

        public override ContextKey Key => Handle.Key;

        public override Task<ReferenceReply> OpenAsync(OpenRequest request)
            => Task.FromResult(new ReferenceReply(Errno.None, _context.Model.OldestReference!.Id, default, ContextMode.Volatile, null));

        public override Task<ReferenceReply> GetAsync(GetRequest request) => Run(() => _context.Model.Get(request.Kind, request.Name)).AsTask();

        public override Task<PutReply> PutAsync(ReferenceId reference) => Run(() =>
        {
            var put = ContextOperations.PutAsync(Scope, reference).AsTask();
            Expect.That(put.IsCompleted, "A reference was not put at once.");
            return new PutReply(put.Result, null, null);
        }).AsTask();

        public override Task<RenewReply> RenewAsync(ReferenceId[] references) => Task.FromResult(new RenewReply(Errno.None, []));

        public override ValueTask<IoctlReply> IoctlAsync(IoctlRequest request, OperationId operation) => Run(() => _context.Run(request));

        public override ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation) => Run(() => _context.Ask(reference, request));

        public override ValueTask<FileReply> FileAsync(FileTarget target, FileRequest request, OperationId operation) => Run(() =>
        {
            var reply = FileDispatcher.DispatchAsync(Scope, target, request).AsTask();
            Expect.That(reply.IsCompleted, $"{request} did not answer at once.");
            return reply.Result;
        });

        public override ValueTask<PollReply> PollFileAsync(FileTarget target, TimeSpan wait) => throw new NotSupportedException();

        public override ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request, OperationId operation) => throw new NotSupportedException();

        public override ValueTask<IoctlBatchReply> IoctlBatchRestAsync(OperationId operation, int from) => throw new NotSupportedException();

        public override Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken) => throw new NotSupportedException();

        public override Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page)
            => Run(() => ContextInspector.InspectObjectAsync(_context.Model, _context.ObjectGrains, id, page).Result).AsTask();

        public override Task<HolderGraph> InspectGraphAsync(GraphRequest request) => throw new NotSupportedException();

        public override Task<BusyExplanation> ExplainBusyAsync(ObjectId id) => throw new NotSupportedException();

        public override Task<TailReply> TailAsync(TailRequest request) => throw new NotSupportedException();

        private ValueTask<T> Run<T>(Func<T> run)
        {
            lock (_context)
            {
                return ValueTask.FromResult(run());
            }
        }
    }
}
