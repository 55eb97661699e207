using System.Runtime.CompilerServices;

namespace IommuFd.GrainInterfaces;

// An ioctl takes two microseconds, so that asking "this one?" must take next to nothing. Each thread counts down to the next one that is taken; how far away that is, is
// drawn when one was: by a geometric distribution, which is what deciding each by itself would give. Threads share nothing.

/// <summary>Takes a random share of what happens, at the cost of a decrement.</summary>
internal static class SampleEvery
{
    /// <summary>How many to count to the next that is taken, each being taken with such a probability.</summary>
    /// <returns>1 or more.</returns>
    public static int Draw(double ratio)
    {
        if (ratio >= 1)
        {
            return 1;
        }

        return ratio <= 0 ? int.MaxValue : (int)Math.Min(int.MaxValue, 1 + Math.Floor(Math.Log(1 - Random.Shared.NextDouble()) / Math.Log(1 - ratio)));
    }

    /// <summary>Counts one, and answers whether it is taken.</summary>
    /// <param name="left">The thread's count, 0 on a thread that never counted.</param>
    /// <param name="ratio">The share that is taken.</param>
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
