using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.EventQueues;

/// <summary>A kind of queue that a program reads through a file. Each queue has a grain of its own.</summary>
internal abstract class EventQueueKind : GrainKind
{
    public override DrawingStyle Style => DrawingStyle.Queue;

    public override async ValueTask<FileReply> FileAsync(IoctlScope scope, ObjectEntry entry, FileRequest request)
    {
        var answer = await scope.Grains.CallAsync<IEventQueueGrain, FileRequest, QueueReply>(
            entry, request, static (grain, stamp, request) => grain.FileAsync(stamp, request));
        return new FileReply(answer.Errno, answer.Count, answer.Data, answer.Errno == Errno.None ? null : Failure.Explain(answer.Diagnostic, entry));
    }

    public override async ValueTask<PollReply> PollAsync(IoctlScope scope, ObjectEntry entry, TimeSpan wait)
    {
        // A queue that was never called is empty, and looking at it must not activate its grain.
        if (!scope.Grains.WasCalled(entry) && wait > TimeSpan.Zero)
        {
            await Task.Delay(wait < MaxWait ? wait : MaxWait);
            wait = TimeSpan.Zero;
        }

        // Of a queue that has lost its state the read tells more: it recovers a durable context, and is EIO in a volatile one.
        var reply = await scope.Grains.AskAsync<IEventQueueGrain, PollReply>(entry, (grain, stamp) => grain.PollAsync(stamp, wait));
        return reply switch
        {
            null => new PollReply(Errno.None, AlwaysReady),
            { Errno: Errno.None } => reply,
            _ => new PollReply(Errno.None, AlwaysReady | PollEvents.In),
        };
    }

    public override async ValueTask CloseFileAsync(IoctlScope scope, ObjectEntry entry)
        => await scope.Grains.CallAsync<IEventQueueGrain, bool, ObjectReply>(entry, default, static (grain, stamp, _) => grain.CloseAsync(stamp));

    /// <summary>What <c>poll</c> reports of an empty queue.</summary>
    protected abstract PollEvents AlwaysReady { get; }

    private static TimeSpan MaxWait => TimeSpan.FromMilliseconds(IoctlLimits.MaxPollWaitMs);
}
