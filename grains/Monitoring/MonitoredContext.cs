using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Monitoring;

// One life of a context on a silo, as those see it who look: its own turns write it, lists and figures of the silo read single words of it at any time.
//
// A time stamp costs more than all else that is recorded of an ioctl, and a good part of an ioctl that only needs the context. So the end of such a turn is looked at on the
// clock only where somebody is looking, or the turn is one of the sample; of a turn that has waited for a grain or the journal, always. Only its own turns touch the tail.

/// <summary>A context that is open on this silo, and what it has done here.</summary>
internal sealed class MonitoredContext
{
    private readonly SiloStatistics? _statistics;
    private readonly TimeProvider _time;
    private readonly uint _sampleOffset;
    private long _ioctls;
    private uint _turns;

    public MonitoredContext(ContextHandle handle, ContextModel model, TimeProvider time, SiloStatistics? statistics)
    {
        (Handle, Tag, Model, _time, _statistics) = (handle, ContextTag.Of(handle), model, time, statistics);

        // So that contexts of a few turns are sampled at different ones.
        _sampleOffset = (uint)Tag.Value;
        Tail = new IoctlTail(time);
    }

    /// <summary>The handle. It is nobody's to see.</summary>
    public ContextHandle Handle { get; }

    public ContextTag Tag { get; }

    public ContextModel Model { get; }

    public bool IsDurable => Model.Mode == ContextMode.Durable;

    /// <summary>Whether it was told to move to another silo, since this one stops.</summary>
    public bool IsLeaving { get; set; }

    /// <summary>Ioctls that it has answered here.</summary>
    public long Ioctls => Volatile.Read(ref _ioctls);

    /// <summary>The last of them. The context's turns only.</summary>
    public IoctlTail Tail { get; }

    /// <summary>Who opened it: the name of its oldest file.</summary>
    public string Opener
    {
        get
        {
            for (var reference = Model.OldestReference; reference is not null; reference = reference.Next)
            {
                if (reference.Kind == ReferenceKind.File)
                {
                    return reference.Name;
                }
            }

            return "";
        }
    }

    /// <summary>The sign of life that is longest ago of those that its references gave last, as a time stamp.</summary>
    public long LastSign
    {
        get
        {
            var last = long.MaxValue;
            for (var reference = Model.OldestReference; reference is not null; reference = reference.Next)
            {
                last = Math.Min(last, reference.LastSign);
            }

            return last;
        }
    }

    /// <summary>Notes an ioctl that was answered.</summary>
    /// <param name="request">The ioctl; null where a client has sent none.</param>
    /// <param name="reply">The answer.</param>
    /// <param name="begun">When its turn began, as a time stamp.</param>
    /// <param name="hasWaited">Whether its turn has waited for something.</param>
    public void Record(IoctlRequest? request, IoctlReply reply, long begun, bool hasWaited)
    {
        _statistics?.CountIoctl(request?.Command ?? 0, reply.Errno);
        _ioctls++;
        var isSampled = NextTurnIsSampled();
        if (!hasWaited && !isSampled && !Tail.IsWatched)
        {
            Tail.Add(request, reply, begun);
            return;
        }

        var ended = _time.GetTimestamp();
        Tail.Add(request, reply, begun, ended);
        if (isSampled)
        {
            _statistics!.CountTurn(Tail.Nanoseconds(ended - begun));
        }
    }

    /// <summary>Notes a batch that was answered: each of its ioctls, with its part of the time.</summary>
    public void Record(IoctlBatchRequest request, IoctlBatchReply reply, long begun)
    {
        var ended = _time.GetTimestamp();
        if (NextTurnIsSampled())
        {
            _statistics!.CountTurn(Tail.Nanoseconds(ended - begun));
        }

        var (requests, replies) = (request.Requests, reply.Replies);
        if (replies.Length == 0)
        {
            return;
        }

        // Neighbours are often alike: they are counted in one step.
        for (var i = 0; _statistics is not null && i < replies.Length;)
        {
            var (command, errno, first) = (requests[i]?.Command ?? 0, replies[i].Errno, i);
            while (++i < replies.Length && (requests[i]?.Command ?? 0) == command && replies[i].Errno == errno)
            {
            }

            _statistics.CountIoctls(command, errno, i - first);
        }

        _ioctls += replies.Length;
        Tail.AddBatch(requests, replies, begun, ended);
    }

    /// <summary>Shows the context as a list does.</summary>
    public ContextSummary Summarize(string silo, TimeSpan lease)
    {
        var lastSign = LastSign;
        return new ContextSummary
        {
            Tag = Tag,
            Handle = Handle.ToShortString(),
            Opener = Opener,
            Silo = silo,
            Mode = Model.Mode,
            Opened = new DateTime(Model.OpenedTicks, DateTimeKind.Utc),
            Objects = Model.Objects.Count,
            References = Model.References.Count,
            Ioctls = Ioctls,
            Lease = lease == TimeSpan.Zero || lastSign == long.MaxValue ? null : Left(lease, lastSign),
        };
    }

    /// <summary>Whether its tag, its short handle or its opener has a text somewhere, in any case.</summary>
    public bool Has(string text)
    {
        Span<char> digits = stackalloc char[32];
        return Opener.Contains(text, StringComparison.OrdinalIgnoreCase)
            || (Tag.Value.TryFormat(digits, out var tag, "x16", CultureInfo.InvariantCulture) && ((ReadOnlySpan<char>)digits[..tag]).Contains(text, StringComparison.OrdinalIgnoreCase))
            || (Handle.Value.TryFormat(digits, out _, "N") && ((ReadOnlySpan<char>)digits[..ContextHandle.ShownDigits]).Contains(text, StringComparison.OrdinalIgnoreCase));
    }

    private TimeSpan Left(TimeSpan lease, long lastSign)
        => lease - _time.GetElapsedTime(lastSign) is var left && left > TimeSpan.Zero ? left : TimeSpan.Zero;

    private bool NextTurnIsSampled() => _statistics is not null && (++_turns + _sampleOffset) % SiloStatistics.SampledTurns == 0;
}
