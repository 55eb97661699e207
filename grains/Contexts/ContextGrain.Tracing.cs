using IommuFd.GrainInterfaces;
using IommuFd.Grains.Telemetry;

namespace IommuFd.Grains.Contexts;

/// <content>The entry points of requests. A traced request runs its turn within a span; the others run theirs at once.</content>
internal sealed partial class ContextGrain
{
    private SiloAddress? Silo => GrainContext?.Address?.SiloAddress;

    public ValueTask<IoctlReply> IoctlAsync(IoctlRequest request, OperationId operation)
    {
        if (!TurnSpans.IsWanted(telemetry, out var parent))
        {
            return IoctlTurnAsync(request, operation);
        }

        var span = TurnSpans.Start(CallSpan.Ioctl(request?.Command ?? 0), parent, Handle, Silo);
        span?.SetIoctl(request?.Command ?? 0);
        return TurnSpans.RunAsync(
            span, (this, request, operation), static turn => turn.Item1.IoctlTurnAsync(turn.request!, turn.operation), static reply => reply.Errno);
    }

    public ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request, OperationId operation)
    {
        if (!TurnSpans.IsWanted(telemetry, out var parent))
        {
            return IoctlBatchTurnAsync(request, operation);
        }

        var span = TurnSpans.Start(CallSpan.Context("batch"), parent, Handle, Silo);
        span?.SetTag(SpanTags.BatchSize, request?.Requests?.Length ?? 0);
        return TurnSpans.RunAsync(
            span, (this, request, operation), static turn => turn.Item1.IoctlBatchTurnAsync(turn.request!, turn.operation), static reply => reply.Errno);
    }

    public ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation)
        => TurnSpans.IsWanted(telemetry, out var parent)
            ? TurnSpans.RunAsync(
                TurnSpans.Start(CallSpan.Driver(request), parent, Handle, Silo),
                (this, reference, request, operation),
                static turn => turn.Item1.DriverTurnAsync(turn.reference, turn.request, turn.operation),
                static reply => reply.Errno)
            : DriverTurnAsync(reference, request, operation);

    public ValueTask<FileReply> FileAsync(FileTarget target, FileRequest request, OperationId operation)
        => TurnSpans.IsWanted(telemetry, out var parent)
            ? TurnSpans.RunAsync(
                TurnSpans.Start(CallSpan.Context(request is WriteFileRequest ? "write" : "read"), parent, Handle, Silo),
                (this, target, request, operation),
                static turn => turn.Item1.FileTurnAsync(turn.target, turn.request, turn.operation),
                static reply => reply.Errno)
            : FileTurnAsync(target, request, operation);
}
