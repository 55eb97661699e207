using System.Collections.Concurrent;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.JournalTests;

/// <summary>What must be there after a crash.</summary>
public abstract partial class JournalStoreTests
{
    /// <summary>Checks that all writes which were reported as made are there and whole, and nothing with a gap.</summary>
    protected static async Task AllReportedIsThereAsync(IJournalStore store, IReadOnlyCollection<(ContextKey Key, long Position)> reported)
    {
        Assert.NotEmpty(reported);
        foreach (var context in reported.GroupBy(one => one.Key))
        {
            var head = await store.AcquireAsync(context.Key, Owner, default);
            Assert.NotNull(head);
            if (head.Snapshot is { } snapshot)
            {
                Assert.Equal(JournalWriter.Frame(context.Key, head.SnapshotPosition), snapshot);
            }

            var entries = await ReadAllAsync(store, context.Key);
            Assert.Equal(Enumerable.Range(1, entries.Count).Select(i => head.SnapshotPosition + i), entries.Select(entry => entry.Position));
            Assert.All(entries, entry => Assert.Equal(JournalWriter.Frame(context.Key, entry.Position), entry.Frame));
            var last = head.SnapshotPosition + entries.Count;
            Assert.True(context.Max(one => one.Position) <= last, $"{context.Max(one => one.Position)} was reported, the last that is there is {last}.");

            Assert.Equal(JournalOutcome.Committed, await CommitAsync(store, new AppendRecord(context.Key, head.Epoch, last + 1, [1])));
        }
    }

    /// <summary>Collects reports, and says when there are enough.</summary>
    protected sealed class Reports(int enough)
    {
        private readonly TaskCompletionSource _enough = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ConcurrentQueue<(ContextKey, long)> _all = new();

        public Task Enough => _enough.Task;

        public IReadOnlyCollection<(ContextKey Key, long Position)> All => _all;

        public void Add(ContextKey key, long position)
        {
            _all.Enqueue((key, position));
            if (_all.Count >= enough)
            {
                _enough.TrySetResult();
            }
        }
    }
}
