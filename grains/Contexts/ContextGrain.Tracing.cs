using IommuFd.GrainInterfaces;
using IommuFd.Grains.Telemetry;

namespace IommuFd.Grains.Contexts;

/// <content>Where requests come in: each is a turn, which has a span where it is traced. What is not traced goes straight on.</content>
internal sealed partial class ContextGrain
{
    private SiloAddress? Silo => GrainContext?.Address?.SiloAddress;

    public ValueTask<IoctlReply> IoctlAsync(IoctlRequest request)
    {
        if (!TurnSpans.IsWanted(telemetry, out var parent))
        {
            return IoctlTurnAsync(request);
        }

        var span = TurnSpans.Start(CallSpan.Ioctl(request?.Command ?? 0), parent, Handle, Silo);
        span?.SetIoctl(request?.Command ?? 0);
        return TurnSpans.RunAsync(span, (this, request), static turn => turn.Item1.IoctlTurnAsync(turn.request!), static reply => reply.Errno);
    }

    public ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request)
    {
        if (!TurnSpans.IsWanted(telemetry, out var parent))
        {
            return IoctlBatchTurnAsync(request);
        }

        var span = TurnSpans.Start(CallSpan.Context("batch"), parent, Handle, Silo);
        span?.SetTag(SpanTags.BatchSize, request?.Requests?.Length ?? 0);
        return TurnSpans.RunAsync(span, (this, request), static turn => turn.Item1.IoctlBatchTurnAsync(turn.request!), static reply => reply.Errno);
    }

    public ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation)
        => TurnSpans.IsWanted(telemetry, out var parent)
            ? TurnSpans.RunAsync(
                TurnSpans.Start(CallSpan.Driver(request), parent, Handle, Silo),
                (this, reference, request, operation),
                static turn => turn.Item1.DriverTurnAsync(turn.reference, turn.request, turn.operation),
                static reply => reply.Errno)
            : DriverTurnAsync(reference, request, operation);
}
