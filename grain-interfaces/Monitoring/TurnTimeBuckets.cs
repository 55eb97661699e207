using System.Numerics;

namespace IommuFd.GrainInterfaces;

// Times are counted in buckets, four per power of two, so that a quantile is off by a fifth at most, whether it is in nanoseconds or in
// seconds, and the silos' counts add up to the cluster's.

/// <summary>The buckets in which turn times are counted.</summary>
public static class TurnTimeBuckets
{
    private const int StepsPerOctave = 4;

    private const int FirstOctave = 8;

    private const int LastOctave = 34;

    /// <summary>How many buckets there are. The first is for up to 256 ns, the last for 17 s and more.</summary>
    public const int Count = ((LastOctave - FirstOctave) * StepsPerOctave) + 1;

    /// <summary>The bucket of a time.</summary>
    /// <param name="nanoseconds">The time in nanoseconds.</param>
    /// <returns>0 to <see cref="Count"/> - 1.</returns>
    public static int IndexOf(long nanoseconds)
    {
        if (nanoseconds < 1L << FirstOctave)
        {
            return 0;
        }

        var octave = BitOperations.Log2((ulong)nanoseconds);
        var step = (int)(nanoseconds >> (octave - 2)) & (StepsPerOctave - 1);
        return Math.Min(((octave - FirstOctave) * StepsPerOctave) + step + 1, Count - 1);
    }

    /// <summary>The end of a bucket in nanoseconds; the times counted in it are shorter, except in the last.</summary>
    /// <param name="index">The bucket.</param>
    /// <returns>Nanoseconds.</returns>
    public static long EndOf(int index)
    {
        var (octave, step) = Math.DivRem(index, StepsPerOctave);
        return (1L << (octave + FirstOctave)) / StepsPerOctave * (StepsPerOctave + step);
    }

    /// <summary>The time that a share of the counted turns does not exceed.</summary>
    /// <param name="counts">The count in each bucket; missing trailing buckets are empty.</param>
    /// <param name="share">The share: 0.5 for the median, 0.99 for p99.</param>
    /// <returns>The end of the bucket that contains it; null if nothing is counted.</returns>
    public static TimeSpan? Quantile(ReadOnlySpan<long> counts, double share)
    {
        var total = 0L;
        foreach (var count in counts)
        {
            total += count;
        }

        if (total == 0)
        {
            return null;
        }

        var rank = Math.Max(1, (long)Math.Ceiling(share * total));
        var index = 0;
        for (; index < counts.Length - 1 && rank > counts[index]; index++)
        {
            rank -= counts[index];
        }

        return TimeSpan.FromMicroseconds(EndOf(index) / 1000.0);
    }
}
