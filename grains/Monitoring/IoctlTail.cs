using System.Numerics;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Monitoring;

// A ring of slots that the next ioctl's number leads to. It begins small, since most contexts do little, and grows while there is more to keep: to Kept slots, or, while
// somebody looks, to as many as one reply can have. It shrinks again when nobody has looked for a while.
//
// Arguments and answers are not copied: nobody changes them. Only an argument that is longer than what is shown is cut, so that no slot keeps much alive.
//
// Always: Last is the number of the last ioctl, and the ioctls Last - _count + 1 to Last stand in the slots that their numbers lead to.

/// <summary>The last ioctls of a context. Not thread-safe: its turns have it.</summary>
internal sealed class IoctlTail(TimeProvider time)
{
    /// <summary>How many are kept while nobody looks.</summary>
    public const int Kept = 16;

    private const int FirstSlots = 4;

    private const long NotTimed = -1;

    /// <summary>For how long after somebody has looked many are kept.</summary>
    public static readonly TimeSpan WatchedFor = TimeSpan.FromSeconds(10);

    private readonly double _nanosecondsPerStamp = 1e9 / time.TimestampFrequency;
    private Slot[] _slots = [];
    private int _count;
    private long _lookedAt;

    /// <summary>Names this life of the context.</summary>
    public long Activation { get; } = time.GetUtcNow().UtcTicks;

    /// <summary>How many there were.</summary>
    public long Last { get; private set; }

    /// <summary>Whether somebody looks: then each ioctl is timed.</summary>
    public bool IsWatched { get; private set; }

    /// <summary>How many there is room for.</summary>
    public int Capacity => _slots.Length;

    /// <summary>How long lies between two time stamps that are so far apart.</summary>
    public long Nanoseconds(long stamps) => (long)(stamps * _nanosecondsPerStamp);

    /// <summary>Adds an ioctl of which nobody knows when it ended: at once, after it had begun.</summary>
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

        // Those that later ones of the batch would push out need not be kept first.
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

    /// <summary>Gives room back where nobody has looked for a while.</summary>
    /// <param name="now">The time stamp of now.</param>
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

    /// <summary>Shows the last ioctls, and keeps more of them from now on.</summary>
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
        for (var i = 0; i < shown; i++)
        {
            var number = Last - shown + 1 + i;
            ref readonly var slot = ref _slots[number & (_slots.Length - 1)];
            ioctls[i] = slot.Show(number, (now - time.GetElapsedTime(slot.Ended, stamp)).UtcDateTime, slot.Duration == NotTimed ? NotTimed : Nanoseconds(slot.Duration));
        }

        return new TailReply(Errno.None, Activation, Last, Last - after - shown, ioctls);
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

        /// <summary>When it was answered, and how long that took, in the clock's time stamps.</summary>
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
