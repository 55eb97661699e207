using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// A context runs one turn at a time, and a message costs far more than most ioctls. So one message with ioctls is under way, and what comes meanwhile goes together in the next.
// There is no timer: an ioctl that comes alone goes at once.
//
// An ioctl of a group keeps its name, and with it all that a name is for: a repeat is answered what the ioctl was answered, whichever message brought it first.
//
// Nothing waits for a message that may be lost. An ioctl whose answer is overdue is repeated, and a repeat, like every other call of the context, goes at once: what waits goes
// before it, and what comes later does not wait for what is under way.
//
// Answers run their callers' code, which may block until another answer of the same group is there. So each thread that hands out answers first asks for another one to go on in
// its place. It does so in the pool's global queue: callers that never wait would otherwise feed their thread with work from the silo in this process, newest first, and the
// pool's other work would never run. For the same reason the answer to a lone ioctl goes through that queue now and then, and so does an ioctl that had company lately where others
// stand in the queue: they may be its callers, and then they join its message. In an idle pool nobody waits for anything.

/// <summary>Sends the ioctls of one context: one alone, several together. Thread-safe.</summary>
internal sealed class IoctlCombiner
{
    private const int MaxTogether = 256;

    // Bytes of a group's requests and of what they could be answered.
    private const long MaxBytesTogether = 256 * 1024;

    private readonly IContextGrain _grain;
    private readonly ContextHandle _handle;
    private readonly Gathering _gathering;
    private readonly Lock _lock = new();
    private readonly Queue<ICombinedIoctl> _waiting = [];

    // The message that others wait for; where there is none, none wait.
    private IoctlMessage? _underWay;
    private LoneIoctl? _spare;

    // Whether there were others lately.
    private bool _hasCompany;

    public IoctlCombiner(IContextGrain grain, ContextHandle handle)
    {
        (_grain, _handle) = (grain, handle);
        _gathering = new Gathering(this);
    }

    /// <summary>Sends an ioctl, at once or with the next message.</summary>
    public void Send(ICombinedIoctl ioctl)
    {
        IoctlMessage message;
        lock (_lock)
        {
            if (_underWay is not null)
            {
                _waiting.Enqueue(ioctl);
                return;
            }

            if (_hasCompany && ThreadPool.PendingWorkItemCount > 0)
            {
                _waiting.Enqueue(ioctl);
                message = _underWay = _gathering;
            }
            else
            {
                message = _underWay = Alone(ioctl);
            }
        }

        message.Send();
    }

    /// <summary>Sends what waits. What comes from now on does not wait for what is under way.</summary>
    public void Flush()
    {
        for (var left = Volatile.Read(ref _underWay) is null ? 0 : int.MaxValue; left > 0;)
        {
            IoctlMessage? next;
            lock (_lock)
            {
                next = Next();
                left = Math.Min(left - 1, _waiting.Count);
                _underWay = _waiting.Count > 0 ? next : null;
            }

            next?.Send();
        }
    }

    /// <summary>Sends the next message of what waits, if anything does.</summary>
    /// <param name="after">The message that has ended. Where others no longer wait for it, nothing happens.</param>
    public void SendNext(IoctlMessage after)
    {
        IoctlMessage? next;
        lock (_lock)
        {
            if (after is LoneIoctl alone)
            {
                _spare = alone;
            }

            if (after != _underWay)
            {
                return;
            }

            next = _underWay = Next();
            _hasCompany = next is null ? after is IoctlsTogether : after != _gathering || next is IoctlsTogether;
        }

        next?.Send();
    }

    // What waits and fits in one message; null for nothing. The lock is held.
    private IoctlMessage? Next()
    {
        while (_waiting.TryDequeue(out var first))
        {
            if (!first.IsAwaited)
            {
                continue;
            }

            var bytes = BytesOf(first);
            List<ICombinedIoctl>? together = null;
            while (_waiting.TryPeek(out var more) && (bytes += BytesOf(more)) <= MaxBytesTogether && (together?.Count ?? 1) < MaxTogether)
            {
                _waiting.Dequeue();
                if (more.IsAwaited)
                {
                    (together ??= new(Math.Min(_waiting.Count + 2, MaxTogether)) { first }).Add(more);
                }
            }

            return together is null ? Alone(first) : new IoctlsTogether(this, _grain, _handle, together);
        }

        return null;
    }

    // The lock is held.
    private LoneIoctl Alone(ICombinedIoctl ioctl)
    {
        var alone = _spare ?? new LoneIoctl(this, _grain, _handle);
        _spare = null;
        alone.Ioctl = ioctl;
        return alone;
    }

    private static long BytesOf(ICombinedIoctl ioctl) => WireSize.Of(ioctl.Request) + WireSize.MostAnswered(ioctl.Request);

    /// <summary>Stands for the next message until those callers have run whose turn it is in the pool's queue.</summary>
    private sealed class Gathering(IoctlCombiner combiner) : IoctlMessage, IThreadPoolWorkItem
    {
        public override void Send() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

        public void Execute() => combiner.SendNext(after: this);
    }
}
