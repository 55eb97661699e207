using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Uapi;

namespace IommuFd.Grains.Monitoring;

// One activation of a context as monitoring sees it. The context's own turns write it; the silo's lists and figures read single words of it
// at any time.
//
// A time stamp costs more than everything else recorded about an ioctl, and a good part of an ioctl that only needs the context. So a turn
// that did not wait reads the clock at its end only if the tail is watched or the turn is sampled; a turn that waited for a grain or the
// journal always does. Only the context's own turns touch the tail.

/// <summary>A context that is open on this silo, and what it did here.</summary>
internal sealed class MonitoredContext
{
    private readonly SiloStatistics? _statistics;
    private readonly TimeProvider _time;
    private readonly uint _sampleOffset;
    private long _ioctls;
    private uint _turns;

    public MonitoredContext(ContextKey key, ContextModel model, TimeProvider time, SiloStatistics? statistics)
    {
        (Key, Tag, Model, _time, _statistics) = (key, key.Tag, model, time, statistics);

        // So that contexts with few turns are sampled at different ones.
        _sampleOffset = (uint)Tag.Value;
        Tail = new IoctlTail(time);
    }

    public ContextKey Key { get; }

    public ContextTag Tag { get; }

    public ContextModel Model { get; }

    public bool IsDurable => Model.Mode == ContextMode.Durable;

    /// <summary>Whether it was told to move to another silo because this one stops.</summary>
    public bool IsLeaving { get; set; }

    /// <summary>Number of ioctls answered here.</summary>
    public long Ioctls => Volatile.Read(ref _ioctls);

    /// <summary>The last ioctls. For the context's turns only.</summary>
    public IoctlTail Tail { get; }

    /// <summary>The opener: the name of its oldest file.</summary>
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

    /// <summary>The oldest of its references' last signs of life, as a time stamp.</summary>
    public long LastSign
    {
        get
        {
            var last = long.MaxValue;
            for (var reference = Model.OldestReference; reference is not null; reference = reference.Next)
            {
                last = Math.Min(last, reference.LastSign > 0 ? reference.LastSign : long.MaxValue);
            }

            return last;
        }
    }

    /// <summary>Records an answered ioctl.</summary>
    /// <param name="request">The ioctl; null if the client sent none.</param>
    /// <param name="reply">The answer.</param>
    /// <param name="begun">When its turn began, as a time stamp.</param>
    /// <param name="hasWaited">Whether its turn waited for a grain or the journal.</param>
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

    /// <summary>Records an answered batch: each of its ioctls, with an equal share of the time.</summary>
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

        // Consecutive ioctls are often alike, so runs are counted in one step.
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

    /// <summary>Records a turn that ran no ioctl: its time, if it is in the sample.</summary>
    /// <param name="begun">When it began, as a time stamp.</param>
    public void RecordTurn(long begun)
    {
        if (NextTurnIsSampled())
        {
            _statistics!.CountTurn(Tail.Nanoseconds(_time.GetTimestamp() - begun));
        }
    }

    /// <summary>Records a driver's request: its time, if it is in the sample, and an access of a device that could not be translated.</summary>
    public void RecordDriver(DriverRequest request, DriverReply reply, long begun)
    {
        RecordTurn(begun);
        if (_statistics is not null && reply is { Errno: not Errno.None, Dma: { } dma } && request is TranslateRequest access
            && Model.Objects.Find(access.Device.Value) is DeviceEntry { LastDmaFault: { } fault } device)
        {
            _statistics.DmaFaults.Add(new RecordedDmaFault
            {
                Time = _time.GetUtcNow().UtcDateTime,
                Context = Tag,
                Opener = Opener,
                Device = device.Id,
                DeviceName = device.Name,
                Range = Array.Find(access.Ranges, range => fault.Iova - range.Iova < range.Length),
                Fault = fault,
                Diagnostic = reply.Diagnostic,
                FaultQueue = dma.IsReported ? device.HwptAt(access.Pasid)?.FaultQueue?.Id ?? default : default,
            });
        }
    }

    /// <summary>Summarizes the context for a list.</summary>
    public ContextSummary Summarize(string silo, TimeSpan lease)
    {
        var lastSign = LastSign;
        return new ContextSummary
        {
            Tag = Tag,
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

    /// <summary>Whether its tag or opener contains a text, ignoring case.</summary>
    public bool Has(string text)
    {
        Span<char> digits = stackalloc char[32];
        return Opener.Contains(text, StringComparison.OrdinalIgnoreCase)
            || (Tag.Value.TryFormat(digits, out var tag, "x16", CultureInfo.InvariantCulture) && ((ReadOnlySpan<char>)digits[..tag]).Contains(text, StringComparison.OrdinalIgnoreCase));
    }

    private TimeSpan Left(TimeSpan lease, long lastSign)
        => lease - _time.GetElapsedTime(lastSign) is var left && left > TimeSpan.Zero ? left : TimeSpan.Zero;

    private bool NextTurnIsSampled() => _statistics is not null && (++_turns + _sampleOffset) % SiloStatistics.SampledTurns == 0;
}
