using System.Numerics;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Monitoring;

// A ring of slots, indexed by ioctl number. It starts small, since most contexts do little, and grows as needed: to Kept slots or, while
// the tail is watched, to as many as one reply can have. It shrinks again when the tail has not been read for a while.
//
// Arguments and answers are not copied, since they never change. Only one that is longer than what is shown is cut, so that no slot keeps
// much alive.
//
// Always: Last is the number of the last ioctl, and the ioctls Last - _count + 1 to Last are in the slots of their numbers.

/// <summary>The last ioctls of a context. Not thread-safe: only the context's turns use it.</summary>
internal sealed class IoctlTail(TimeProvider time)
{
    /// <summary>How many are kept while the tail is not watched.</summary>
    public const int Kept = 16;

    private const int FirstSlots = 4;

    private const long NotTimed = -1;

    /// <summary>How long the tail counts as watched after a read.</summary>
    public static readonly TimeSpan WatchedFor = TimeSpan.FromSeconds(10);

    private readonly double _nanosecondsPerStamp = 1e9 / time.TimestampFrequency;
    private Slot[] _slots = [];
    private int _count;
    private long _lookedAt;

    /// <summary>Identifies this activation of the context.</summary>
    public long Activation { get; } = time.GetUtcNow().UtcTicks;

    /// <summary>How many ioctls there were so far.</summary>
    public long Last { get; private set; }

    /// <summary>Whether the tail is watched: if so, every ioctl is timed.</summary>
    public bool IsWatched { get; private set; }

    /// <summary>How many there is room for now.</summary>
    public int Capacity => _slots.Length;

    /// <summary>Converts a difference of time stamps to nanoseconds.</summary>
    public long Nanoseconds(long stamps) => (long)(stamps * _nanosecondsPerStamp);

    /// <summary>Adds an ioctl that was not timed; it counts as ended when it began.</summary>
    public void Add(IoctlRequest? request, IoctlReply reply, long begun) => Next().Set(request, reply, begun, NotTimed);

    public void Add(IoctlRequest? request, IoctlReply reply, long begun, long ended)
    {
        Trim(ended);
        Next().Set(request, reply, ended, ended - begun);
    }

    /// <summary>Adds the ioctls of a batch, with equal parts of its time.</summary>
    public void AddBatch(IoctlRequest[] requests, IoctlReply[] replies, long begun, long ended)
    {
        Trim(ended);

        // Ioctls that later ones of the batch would push out are not added at all.
        var limit = IsWatched ? TailRequest.MaxLimit : Kept;
        var skipped = Math.Max(0, replies.Length - limit);
        if (skipped > 0)
        {
            (Last, _count) = (Last + skipped, 0);
        }

        var part = (ended - begun) / replies.Length;
        for (var i = skipped; i < replies.Length; i++)
        {
            Next().Set(requests[i], replies[i], ended, part);
        }
    }

    /// <summary>Frees room if the tail has not been read for a while.</summary>
    /// <param name="now">The current time stamp.</param>
    public void Trim(long now)
    {
        if (IsWatched && time.GetElapsedTime(_lookedAt, now) > WatchedFor)
        {
            IsWatched = false;
            if (_slots.Length > Kept)
            {
                Resize(Kept);
            }
        }
    }

    /// <summary>Reads the last ioctls, and marks the tail as watched, so that it keeps more of them.</summary>
    public TailReply Read(TailRequest request)
    {
        (_lookedAt, IsWatched) = (time.GetTimestamp(), true);
        if (request.After < 0)
        {
            return new TailReply(Errno.None, Activation, Last, 0, []);
        }

        var after = request.Activation == 0 || request.Activation == Activation ? Math.Min(request.After, Last) : 0;
        var shown = (int)Math.Min(Math.Min(Last - after, _count), Math.Clamp(request.Limit, 1, TailRequest.MaxLimit));
        var (ioctls, stamp, now) = (new RecordedIoctl[shown], time.GetTimestamp(), time.GetUtcNow());
        var (first, bytes) = (shown, 0L);
        while (first > 0 && bytes <= IoctlLimits.MaxPageBytes)
        {
            var number = Last - shown + first--;
            ref readonly var slot = ref _slots[number & (_slots.Length - 1)];
            ioctls[first] = slot.Show(number, (now - time.GetElapsedTime(slot.Ended, stamp)).UtcDateTime, slot.Duration == NotTimed ? NotTimed : Nanoseconds(slot.Duration));
            bytes += WireSize.Of(ioctls[first]);
        }

        return new TailReply(Errno.None, Activation, Last, Last - after - shown + first, ioctls[first..]);
    }

    private ref Slot Next()
    {
        if (_count == _slots.Length && _count < (IsWatched ? TailRequest.MaxLimit : Kept))
        {
            Resize(Math.Max(FirstSlots, _count * 2));
        }

        _count += _count < _slots.Length ? 1 : 0;
        return ref _slots[++Last & (_slots.Length - 1)];
    }

    private void Resize(int capacity)
    {
        var slots = new Slot[(int)BitOperations.RoundUpToPowerOf2((uint)capacity)];
        _count = Math.Min(_count, slots.Length);
        for (var number = Last - _count + 1; number <= Last; number++)
        {
            slots[number & (slots.Length - 1)] = _slots[number & (_slots.Length - 1)];
        }

        _slots = slots;
    }

    private struct Slot
    {
        private byte[] _argument;
        private byte[] _answer;
        private IoctlDiagnostic? _diagnostic;
        private uint _command;
        private Errno _errno;

        /// <summary>When it was answered, as a time stamp; <see cref="Duration"/> is how long that took, in the same unit.</summary>
        public long Ended { get; private set; }

        public long Duration { get; private set; }

        public void Set(IoctlRequest? request, IoctlReply reply, long ended, long duration)
        {
            (_command, _errno, _diagnostic, Ended, Duration) = (request?.Command ?? 0, reply.Errno, reply.Diagnostic, ended, duration);
            (_argument, _answer) = (Cut(request?.Argument), Cut(reply.Argument));
        }

        public readonly RecordedIoctl Show(long number, DateTime time, long nanoseconds) => new()
        {
            Number = number,
            Time = time,
            Nanoseconds = nanoseconds,
            Command = _command,
            Argument = _argument,
            Answer = _answer,
            Errno = _errno,
            Diagnostic = _diagnostic,
        };

        private static byte[] Cut(byte[]? bytes) => bytes is null ? [] : bytes.Length <= RecordedIoctl.MaxArgumentBytes ? bytes : bytes[..RecordedIoctl.MaxArgumentBytes];
    }
}
