namespace IommuFd.UnitTests.Support;

/// <summary>Measures this thread's allocations.</summary>
internal static class Allocations
{
    private const int Rounds = 5;

    /// <summary>
    /// The bytes that an action allocates after a warm-up: the least of several rounds. Its own allocations recur in every round; the
    /// runtime adds some now and then, such as the rest of this thread's allocation buffer that a collection leaves unused.
    /// </summary>
    public static long Of(Action action)
    {
        action();
        return Enumerable.Range(0, Rounds).Min(_ =>
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            action();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        });
    }
}
