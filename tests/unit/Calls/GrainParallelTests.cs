using IommuFd.Grains.Calls;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Calls;

public sealed class GrainParallelTests
{
    // What waits goes on within the call that ends the wait, on this thread, as it does in turns of one grain.
    public GrainParallelTests() => SynchronizationContext.SetSynchronizationContext(null);

    [Theory]
    [InlineData(0, 4)]
    [InlineData(1, 4)]
    [InlineData(100, 1)]
    [InlineData(100, 4)]
    [InlineData(3, 100)]
    public async Task Every_item_is_done_once_and_no_more_are_under_way_than_allowed(int items, int degree)
    {
        var waiting = new Queue<(int Item, TaskCompletionSource Done)>();
        var started = new List<int>();
        var all = GrainParallel.ForEachAsync(Enumerable.Range(0, items), degree, item =>
        {
            started.Add(item);
            var done = new TaskCompletionSource();
            waiting.Enqueue((item, done));
            return new ValueTask(done.Task);
        });

        // One item ends at a time, and makes room for one more.
        while (waiting.Count > 0)
        {
            Expect.Equal(Math.Min(degree, items - (started.Count - waiting.Count)), waiting.Count, $"items under way after {started.Count} were started");
            waiting.Dequeue().Done.SetResult();
        }

        Expect.That(all.IsCompleted, "All items are done, and the whole is not.");
        await all;
        Expect.Sequence(Enumerable.Range(0, items), started, "the items that were started");
    }

    [Fact]
    public async Task Items_that_do_not_wait_are_done_at_once()
    {
        var done = new List<int>();
        var all = GrainParallel.ForEachAsync(Enumerable.Range(0, 1000), 8, item =>
        {
            done.Add(item);
            return ValueTask.CompletedTask;
        });
        Expect.That(all.IsCompletedSuccessfully, "Items that do not wait have made the whole wait.");
        await all;
        Expect.Equal(1000, done.Count, "items done");
    }

    [Fact]
    public async Task An_item_that_fails_fails_the_whole_after_the_others_are_done()
    {
        var waiting = new Queue<(int Item, TaskCompletionSource Done)>();
        var all = GrainParallel.ForEachAsync(Enumerable.Range(0, 10), 2, item =>
        {
            var done = new TaskCompletionSource();
            waiting.Enqueue((item, done));
            return new ValueTask(done.Task);
        });
        var ended = new List<int>();
        while (waiting.TryDequeue(out var next))
        {
            Expect.That(!all.IsCompleted, $"The whole is done before item {next.Item} is.");
            ended.Add(next.Item);
            if (next.Item == 3)
            {
                next.Done.SetException(new TimeoutException());
            }
            else
            {
                next.Done.SetResult();
            }
        }

        await Assert.ThrowsAsync<TimeoutException>(() => all);
        Expect.Sequence(Enumerable.Range(0, 10), ended, "the items, of which number 3 fails");
    }
}
