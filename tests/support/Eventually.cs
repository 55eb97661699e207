using System.Diagnostics;
using Xunit;

namespace IommuFd.TestSupport;

/// <summary>Waits for a state that Orleans reaches by itself and announces with no event, such as the end of an activation.</summary>
public static class Eventually
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public static async Task TrueAsync(Func<Task<bool>> condition, string expected)
    {
        var waited = Stopwatch.StartNew();
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!await condition())
        {
            Assert.True(waited.Elapsed < Limit, $"not reached within {Limit}: {expected}");
            await poll.WaitForNextTickAsync();
        }
    }
}
