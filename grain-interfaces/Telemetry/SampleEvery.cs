using System.Runtime.CompilerServices;

namespace IommuFd.GrainInterfaces;

// An ioctl takes two microseconds, so asking "this one?" must take next to nothing. Each thread counts down to the next one to take. The
// distance is drawn whenever one is taken, from a geometric distribution, as if each were decided independently. Threads share nothing.

/// <summary>Takes a random share of events, at the cost of a decrement each.</summary>
internal static class SampleEvery
{
    /// <summary>Draws how many events to count to the next that is taken, each being taken with this probability.</summary>
    /// <returns>1 or more.</returns>
    public static int Draw(double ratio)
    {
        if (ratio >= 1)
        {
            return 1;
        }

        return ratio <= 0 ? int.MaxValue : (int)Math.Min(int.MaxValue, 1 + Math.Floor(Math.Log(1 - Random.Shared.NextDouble()) / Math.Log(1 - ratio)));
    }

    /// <summary>Counts one event, and returns whether it is taken.</summary>
    /// <param name="left">The thread's count, 0 on a thread that never counted.</param>
    /// <param name="ratio">The share to take.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Take(ref int left, double ratio) => --left <= 0 && TakeOrBegin(ref left, ratio);

    private static bool TakeOrBegin(ref int left, double ratio)
    {
        // Below 0: the thread's first.
        var isTaken = left == 0 || Draw(ratio) == 1;
        left = Draw(ratio);
        return isTaken && ratio > 0;
    }
}
