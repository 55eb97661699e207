using IommuFd.GrainInterfaces;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Grains.Telemetry;

namespace IommuFd.Grains.Contexts;

/// <content>Groups: ioctls that run one by one, each under its own name, in one turn and with one commit.</content>
internal sealed partial class ContextGrain
{
    public ValueTask<IoctlBatchReply> IoctlGroupAsync(ContextHandle handle, IoctlGroup group)
    {
        if (!TurnSpans.IsWanted(telemetry, out var parent))
        {
            return IoctlGroupTurnAsync(Admits(handle), group);
        }

        var span = TurnSpans.Start(CallSpan.Context("group"), parent, Key, Silo);
        span?.SetTag(SpanTags.BatchSize, group?.Requests?.Length ?? 0);
        return TurnSpans.RunAsync(
            span, (this, handle, group), static turn => turn.Item1.IoctlGroupTurnAsync(turn.Item1.Admits(turn.handle), turn.group!), static reply => reply.Errno);
    }

    private ValueTask<IoctlBatchReply> IoctlGroupTurnAsync(bool isAdmitted, IoctlGroup group)
    {
        if (OpenFor(isAdmitted) is not { AnswersIoctls: true } context)
        {
            var failure = NotOpen(isAdmitted);
            return ValueTask.FromResult(new IoctlBatchReply { Replies = Array.ConvertAll(group?.Requests ?? [], request => Counted(request, Reply(failure))) });
        }

        if (group is not { Requests: { } requests, Operations: { } operations } || operations.Length != requests.Length)
        {
            return NoRequests();
        }

        return WhyTooMuch(requests) is { } refusal ? BatchReply(refusal) : RunGroupAsync(context, requests, operations);
    }

    private async ValueTask<IoctlBatchReply> RunGroupAsync(ContextModel context, IoctlRequest[] requests, OperationId[] operations)
    {
        var replies = new IoctlReply[requests.Length];
        List<JournalRecord>? records = null;
        for (var i = 0; i < replies.Length; i++)
        {
            var (request, operation) = (requests[i], operations[i]);
            if (TryAnswer(context, request, operation, out var turn, out _) is { } answer)
            {
                replies[i] = answer;
                continue;
            }

            var ioctl = new IoctlTurn(request);
            var running = IoctlDispatcher.DispatchAsync(Scope, request);
            var hasWaited = !running.IsCompletedSuccessfully;
            var reply = await running;
            var isKept = IsKept(turn, ioctl, reply);
            if (isKept && _journal.IsDurable)
            {
                (records ??= []).Add(ioctl.ToRecord(operation, reply) with { Memory = _programs.Take() });
            }

            replies[i] = Finish(turn, ioctl, reply, isKept, hasWaited);
        }

        if (_journal.IsDurable)
        {
            await _journal.CommitAsync(records switch { null => null, [var only] => only, _ => new GroupRecord([.. records]) }, Scope);
        }

        await SettlePinsAsync();
        return new IoctlBatchReply { Replies = ContextOperations.Listed(replies) };
    }
}
