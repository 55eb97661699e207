using IommuFd.Devices;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Devices;

/// <summary>An answer that takes memory away waits for the accesses before it, and for no others.</summary>
public sealed class DmaFenceTests
{
    private readonly DmaFence _fence = new();

    [Fact]
    public void Nothing_is_waited_for_where_nothing_is_under_way()
    {
        Expect.That(_fence.DrainAsync().IsCompleted, "A fence without accesses holds somebody up.");
        _fence.Enter().Dispose();
        Expect.That(_fence.DrainAsync().IsCompleted, "A fence whose accesses have ended holds somebody up.");
    }

    [Fact]
    public async Task An_access_that_began_before_is_waited_for_and_one_that_began_after_is_not()
    {
        var before = _fence.Enter();
        var first = _fence.DrainAsync();
        var after = _fence.Enter();
        Expect.That(!first.IsCompleted, "An access that is under way is not waited for.");
        before.Dispose();
        await first;
        var second = _fence.DrainAsync();
        Expect.That(!second.IsCompleted, "A drain that began after the later access does not wait for it.");
        after.Dispose();
        await second;
    }

    [Fact]
    public async Task Who_comes_later_waits_for_the_oldest_access_too()
    {
        var oldest = _fence.Enter();
        var first = _fence.DrainAsync();
        var next = _fence.Enter();
        var second = _fence.DrainAsync();
        next.Dispose();
        var third = _fence.DrainAsync();
        Expect.That(!second.IsCompleted && !third.IsCompleted, "The oldest access is not waited for.");
        oldest.Dispose();
        await Task.WhenAll(first, second, third);
    }
}
