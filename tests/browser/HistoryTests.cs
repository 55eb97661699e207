using IommuFd.GrainInterfaces;
using IommuFd.Silo.Dashboard.Feed;
using IommuFd.Uapi;

namespace IommuFd.BrowserTests;

/// <summary>The cluster's figures stay right when silos come and go.</summary>
public sealed class HistoryTests
{
    [Fact]
    public void What_a_silo_that_has_left_did_stays_in_the_seconds_and_counts_of_the_cluster()
    {
        var history = new ClusterHistory();
        history.Add(new ClusterOverview(1000, [Silo("a", 990, 5, contexts: 3), Silo("b", 990, 7, contexts: 4)]));

        var view = history.Add(new ClusterOverview(1010, [Silo("a", 1005, 1, contexts: 3), new SiloOverview { Address = "b", Status = "Dead" }]));

        Assert.Equal(12, view.Seconds.Single(second => second.Second == 990).Ioctls);
        Assert.Equal(1, view.Seconds.Single(second => second.Second == 1005).Ioctls);
        Assert.Equal(3, view.Contexts);
        Assert.Equal(8, view.Ioctls.Sum(count => count.Count));
        Assert.Equal((Errno.EBUSY, 2), view.Errors.Single());
    }

    [Fact]
    public void A_second_that_is_told_twice_counts_once_as_it_was_told_last()
    {
        var history = new ClusterHistory();
        history.Add(new ClusterOverview(1000, [Silo("a", 999, 5)]));

        Assert.Equal(8, history.Add(new ClusterOverview(1001, [Silo("a", 999, 8)])).Seconds.Single(second => second.Second == 999).Ioctls);
    }

    [Fact]
    public void Seconds_that_are_too_old_are_forgotten()
    {
        var history = new ClusterHistory();
        history.Add(new ClusterOverview(1000, [Silo("a", 999, 5)]));
        var view = history.Add(new ClusterOverview(1000 + ClusterHistory.Window, []));

        Assert.Equal(ClusterHistory.Window, view.Seconds.Count);
        Assert.All(view.Seconds, second => Assert.Equal(0, second.Ioctls));
    }

    [Fact]
    public void Times_of_silos_are_merged_before_they_are_ranked()
    {
        var fast = new long[TurnTimeBuckets.Count];
        fast[TurnTimeBuckets.IndexOf(1_000)] = 99;
        var slow = new long[TurnTimeBuckets.Count];
        slow[TurnTimeBuckets.IndexOf(1_000_000)] = 1;
        var view = new ClusterHistory().Add(new ClusterOverview(1000, [Silo("a", 998, 99, times: fast), Silo("b", 998, 1, times: slow)]));

        Assert.True(view.Median < TimeSpan.FromMicroseconds(2));
        Assert.True(TurnTimeBuckets.Quantile(slow, 0.5) >= TimeSpan.FromMilliseconds(1));
        Assert.Equal(TurnTimeBuckets.Quantile(fast, 1), view.P99);
    }

    private static SiloOverview Silo(string address, long second, long ioctls, long contexts = 0, long[]? times = null) => new()
    {
        Address = address,
        Status = "Active",
        Answered = true,
        Contexts = contexts,
        Activity = [new ActivitySample(second, ioctls, 0, times ?? [])],
        Ioctls = [new IoctlCount((uint)IommuCommand.Destroy, Errno.EBUSY, 1), new IoctlCount((uint)IommuCommand.Destroy, Errno.None, 3)],
    };
}
