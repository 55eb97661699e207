using IommuFd.GrainInterfaces;
using IommuFd.Grains.Telemetry;

namespace IommuFd.Grains.Contexts;

/// <content>The entry points of requests. A traced request runs its turn within a span; the others run theirs at once.</content>
internal sealed partial class ContextGrain
{
    private SiloAddress? Silo => GrainContext?.Address?.SiloAddress;

    public ValueTask<IoctlReply> IoctlAsync(ContextHandle handle, IoctlRequest request, OperationId operation)
    {
        if (!TurnSpans.IsWanted(telemetry, out var parent))
        {
            return IoctlTurnAsync(Admits(handle), request, operation);
        }

        var span = TurnSpans.Start(CallSpan.Ioctl(request?.Command ?? 0), parent, Key, Silo);
        span?.SetIoctl(request?.Command ?? 0);
        return TurnSpans.RunAsync(
            span, (this, handle, request, operation), static turn => turn.Item1.IoctlTurnAsync(turn.Item1.Admits(turn.handle), turn.request!, turn.operation), static reply => reply.Errno);
    }

    public ValueTask<IoctlBatchReply> IoctlBatchAsync(ContextHandle handle, IoctlBatchRequest request, OperationId operation)
    {
        if (!TurnSpans.IsWanted(telemetry, out var parent))
        {
            return IoctlBatchTurnAsync(Admits(handle), request, operation);
        }

        var span = TurnSpans.Start(CallSpan.Context("batch"), parent, Key, Silo);
        span?.SetTag(SpanTags.BatchSize, request?.Requests?.Length ?? 0);
        return TurnSpans.RunAsync(
            span, (this, handle, request, operation), static turn => turn.Item1.IoctlBatchTurnAsync(turn.Item1.Admits(turn.handle), turn.request!, turn.operation), static reply => reply.Errno);
    }

    public ValueTask<DriverReply> DriverAsync(ContextHandle handle, ReferenceId reference, DriverRequest request, OperationId operation)
        => TurnSpans.IsWanted(telemetry, out var parent)
            ? TurnSpans.RunAsync(
                TurnSpans.Start(CallSpan.Driver(request), parent, Key, Silo),
                (this, handle, reference, request, operation),
                static turn => turn.Item1.DriverTurnAsync(turn.Item1.Admits(turn.handle), turn.reference, turn.request, turn.operation),
                static reply => reply.Errno)
            : DriverTurnAsync(Admits(handle), reference, request, operation);

    public ValueTask<FileReply> FileAsync(ContextHandle handle, FileTarget target, FileRequest request, OperationId operation)
        => TurnSpans.IsWanted(telemetry, out var parent)
            ? TurnSpans.RunAsync(
                TurnSpans.Start(CallSpan.Context(request is WriteFileRequest ? "write" : "read"), parent, Key, Silo),
                (this, handle, target, request, operation),
                static turn => turn.Item1.FileTurnAsync(turn.Item1.Admits(turn.handle), turn.target, turn.request, turn.operation),
                static reply => reply.Errno)
            : FileTurnAsync(Admits(handle), target, request, operation);
}
