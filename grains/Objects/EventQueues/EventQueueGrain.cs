using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.EventQueues;

// A reader that waits for an event waits on a task of the grain's, which ends with the first that arrives. The wait interleaves with turns and holds
// nobody up; it is bounded, so that an activation that goes is not kept for long.

/// <inheritdoc cref="IEventQueueGrain"/>
internal abstract class EventQueueGrain<TModel>(ObjectHost? host) : ObjectGrain<TModel>(host), IEventQueueGrain
    where TModel : EventQueueModel
{
    private static readonly TimeSpan MaxWait = TimeSpan.FromMilliseconds(IoctlLimits.MaxPollWaitMs);

    private TaskCompletionSource? _arrival;

    public ValueTask<QueueReply> FileAsync(ObjectStamp stamp, FileRequest request)
        => Enter(stamp) is { } model ? Reply(model.Run(request)) : Lost<QueueReply>();

    public ValueTask<PollReply> PollAsync(ObjectStamp stamp, TimeSpan wait)
    {
        if (Find(stamp) is not { } model)
        {
            return ValueTask.FromResult(new PollReply(Errno.EIO));
        }

        return model.IsReadable || wait <= TimeSpan.Zero
            ? ValueTask.FromResult(new PollReply(Errno.None, model.Events))
            : WaitAsync(stamp, model, wait < MaxWait ? wait : MaxWait);
    }

    public ValueTask<ObjectReply> CloseAsync(ObjectStamp stamp)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        model.IsOpen = false;
        return Reply(new ObjectReply(Errno.None, 0));
    }

    /// <summary>Wakes those who wait for something to read.</summary>
    protected void NoteArrival()
    {
        _arrival?.TrySetResult();
        _arrival = null;
    }

    protected override void OnEnded() => NoteArrival();

    // Its file, while that is open. The objects that report to it are told of.
    protected override long? Holders(TModel model, ObjectId part) => part == default ? model.IsOpen ? 1 : 0 : null;

    private async ValueTask<PollReply> WaitAsync(ObjectStamp stamp, TModel model, TimeSpan wait)
    {
        _arrival ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var stop = new CancellationTokenSource();
        await Task.WhenAny(_arrival.Task, Task.Delay(wait, stop.Token));
        await stop.CancelAsync();
        return RunAlone(() => Find(stamp) == model ? new PollReply(Errno.None, model.Events) : new PollReply(Errno.EIO));
    }
}
