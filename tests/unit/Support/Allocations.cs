namespace IommuFd.UnitTests.Support;

/// <summary>What this thread allocates.</summary>
internal static class Allocations
{
    private const int Rounds = 5;

    /// <summary>
    /// The bytes that something allocates which was done before: the least of several rounds. What it allocates, it allocates in each; the runtime adds something now and then,
    /// such as what a collection leaves unused of the piece of memory that this thread allocates from.
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
