using System.Numerics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Telemetry;
using IommuFd.Uapi;

namespace IommuFd.Grains.Monitoring;

// What a silo always counts, whether it is watched or not, and so at next to no cost: an ioctl is one interlocked increment of one cell.
// The cells stand in stripes, one per processor, so that processors don't contend; a reader adds the stripes up. A thread may change its
// processor in between, so the increment is interlocked and every count is exact.
//
// Counts only grow. A second's activity is the difference of two readings, which one timer of the silo takes at the end of each second.
//
// Turn times are those of one turn in SampledTurns of each context.

/// <summary>What one silo counts. Thread-safe.</summary>
internal sealed class SiloStatistics : IDisposable
{
    /// <summary>How many past seconds are kept.</summary>
    public const int KeptSeconds = 300;

    /// <summary>One in this many turns of a context is counted in <see cref="TurnTimes"/>.</summary>
    public const int SampledTurns = 16;

    // The last row is for numbers that are not commands.
    private const int Rows = IoctlTable.Length + 1;

    private const int MaxStripes = 16;

    private const int TurnCells = Rows * Errnos;

    private const int Errnos = (int)Errno.EHWPOISON + 1;

    // Numbers in the table that have no command are 0 here.
    private static readonly uint[] Commands = [.. Enumerable.Range(0, IoctlTable.Length).Select(CommandAt)];

    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly long[][] _stripes = [.. Enumerable.Range(0, StripeCount()).Select(_ => new long[TurnCells + TurnTimeBuckets.Count])];
    private readonly ActivitySample[] _activity = new ActivitySample[KeptSeconds];
    private readonly Lock _sampling = new();
    private readonly ContextDirectory _contexts;
    private readonly TimeProvider _time;
    private readonly TurnTelemetry? _telemetry;
    private readonly ITimer _timer;
    private (long Ioctls, long Errors, long[] TurnTimes) _sampled = (0, 0, new long[TurnTimeBuckets.Count]);
    private long _samples;
    private long _recoveries;
    private long _leaseExpiries;

    public SiloStatistics(ContextDirectory contexts, TimeProvider time, TurnTelemetry? telemetry = null)
    {
        _telemetry = telemetry;
        (_contexts, _time, Started) = (contexts, time, time.GetUtcNow());
        _timer = time.CreateTimer(static statistics => ((SiloStatistics)statistics!).Sample(), this, ToNextSecond(), Timeout.InfiniteTimeSpan);
    }

    /// <summary>When counting began.</summary>
    public DateTimeOffset Started { get; }

    /// <summary>Number of open contexts.</summary>
    public long Contexts => _contexts.Count;

    /// <summary>Number of open contexts that are durable.</summary>
    public long DurableContexts => _contexts.DurableCount;

    /// <summary>Number of contexts recovered from their journals.</summary>
    public long Recoveries => Interlocked.Read(ref _recoveries);

    /// <summary>Number of references put because their leases expired.</summary>
    public long LeaseExpiries => Interlocked.Read(ref _leaseExpiries);

    /// <summary>Accesses of devices that could not be translated.</summary>
    public DmaFaultLog DmaFaults { get; } = new();

    /// <summary>Counts an answered ioctl.</summary>
    public void CountIoctl(uint command, Errno errno) => CountIoctls(command, errno, 1);

    /// <summary>Counts ioctls of one command that got the same errno.</summary>
    public void CountIoctls(uint command, Errno errno, long count)
    {
        if (!IoctlTable.TryIndex(command, out var row) || Commands[row] != command)
        {
            row = IoctlTable.Length;
        }

        Interlocked.Add(ref Stripe()[(row * Errnos) + (int)Math.Min((uint)errno, Errnos - 1)], count);
    }

    /// <summary>Counts how long a turn took.</summary>
    public void CountTurn(long nanoseconds)
    {
        Interlocked.Increment(ref Stripe()[TurnCells + TurnTimeBuckets.IndexOf(nanoseconds)]);
        _telemetry?.NoteTurn(nanoseconds);
    }

    /// <summary>Counts a context recovered from its journal.</summary>
    public void CountRecovery() => Interlocked.Increment(ref _recoveries);

    /// <summary>Counts a reference whose lease expired.</summary>
    public void CountLeaseExpiry() => Interlocked.Increment(ref _leaseExpiries);

    /// <summary>The answered ioctls, by command and errno; zero counts are left out.</summary>
    public IEnumerable<IoctlCount> Ioctls()
    {
        for (var cell = 0; cell < TurnCells; cell++)
        {
            if (Total(cell) is var count and > 0)
            {
                var (row, errno) = Math.DivRem(cell, Errnos);
                yield return new IoctlCount(row < Commands.Length ? Commands[row] : 0, (Errno)errno, count);
            }
        }
    }

    /// <summary>The number of timed turns in each bucket of <see cref="TurnTimeBuckets"/>.</summary>
    public long[] TurnTimes()
    {
        var times = new long[TurnTimeBuckets.Count];
        for (var bucket = 0; bucket < times.Length; bucket++)
        {
            times[bucket] = Total(TurnCells + bucket);
        }

        return times;
    }

    /// <summary>The objects of all open contexts, by kind; every kind is listed.</summary>
    public IReadOnlyList<ObjectCount> Objects() => _contexts.CountObjects();

    /// <summary>
    /// The users counts that owners have on objects of all open contexts, by the held object's kind. Visits every object.
    /// </summary>
    public IReadOnlyList<ObjectCount> Holds() => _contexts.CountHolds();

    /// <summary>The activity of the last seconds, oldest first.</summary>
    /// <param name="afterSecond">Only seconds after this one, in Unix time.</param>
    public ActivitySample[] Activity(long afterSecond)
    {
        lock (_sampling)
        {
            var kept = Math.Min(_samples, KeptSeconds);
            var samples = new List<ActivitySample>();
            for (var i = _samples - kept; i < _samples; i++)
            {
                if (_activity[i % KeptSeconds] is var sample && sample.Second > afterSecond)
                {
                    samples.Add(sample);
                }
            }

            return [.. samples];
        }
    }

    public void Dispose() => _timer.Dispose();

    private static uint CommandAt(int index)
        => IoctlTable.All.Select(descriptor => (uint)descriptor.Command).FirstOrDefault(command => IoctlTable.TryIndex(command, out var place) && place == index);

    private static int StripeCount() => (int)BitOperations.RoundUpToPowerOf2((uint)Math.Min(Environment.ProcessorCount, MaxStripes));

    private long[] Stripe() => _stripes[Thread.GetCurrentProcessorId() & (_stripes.Length - 1)];

    private long Total(int cell)
    {
        var total = 0L;
        foreach (var stripe in _stripes)
        {
            total += Interlocked.Read(ref stripe[cell]);
        }

        return total;
    }

    // A timer that fires a little early must not fire again at once.
    private TimeSpan ToNextSecond()
    {
        var left = Second - TimeSpan.FromTicks(_time.GetUtcNow().UtcTicks % Second.Ticks);
        return left < Second / 2 ? left + Second : left;
    }

    private void Sample()
    {
        lock (_sampling)
        {
            // The second that just ended, even if the timer fires a little early.
            var second = (_time.GetUtcNow() + (Second / 2)).ToUnixTimeSeconds() - 1;
            var (ioctls, errors, turns) = (0L, 0L, TurnTimes());
            foreach (var count in Ioctls())
            {
                ioctls += count.Count;
                errors += count.Errno == Errno.None ? 0 : count.Count;
            }

            // Seconds always ascend, even if the clock is set back.
            second = _samples > 0 ? Math.Max(second, _activity[(_samples - 1) % KeptSeconds].Second + 1) : second;
            _activity[_samples++ % KeptSeconds] = new ActivitySample(second, ioctls - _sampled.Ioctls, errors - _sampled.Errors, Difference(turns, _sampled.TurnTimes));
            _sampled = (ioctls, errors, turns);
        }

        try
        {
            _timer.Change(ToNextSecond(), Timeout.InfiniteTimeSpan);
        }
        catch (ObjectDisposedException)
        {
            // The silo is stopping.
        }
    }

    private static long[] Difference(long[] now, long[] before)
    {
        var length = now.Length;
        while (length > 0 && now[length - 1] == before[length - 1])
        {
            length--;
        }

        var difference = length == 0 ? [] : new long[length];
        for (var i = 0; i < length; i++)
        {
            difference[i] = now[i] - before[i];
        }

        return difference;
    }
}
