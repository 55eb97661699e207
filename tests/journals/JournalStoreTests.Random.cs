using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.TestSupport;
using Xunit.Abstractions;

namespace IommuFd.JournalTests;

/// <summary>Whatever is written in whatever order, what is read is what a list in memory has.</summary>
public abstract partial class JournalStoreTests(ITestOutputHelper output)
{
    [Fact]
    public async Task What_is_read_is_what_was_written_in_any_order_of_writes()
    {
        const int Steps = 250;
        var seed = Seed.Of(output);
        var random = new Random(seed);
        var stores = new List<IJournalStore> { Store, await OpenAsync() };
        var contexts = new List<Expected>();
        for (var step = 0; step < Steps; step++)
        {
            var store = stores[random.Next(stores.Count)];
            var where = $"step {step}, IOMMUFD_SEED={seed}";
            switch (random.Next(20))
            {
                case 0 or 1 when contexts.Count < 12:
                    contexts.Add(new Expected(await CreateAsync()));
                    break;

                case 2 when contexts.Count > 0:
                    var context = contexts[random.Next(contexts.Count)];
                    var head = await store.AcquireAsync(context.Key, Owner, default);
                    Assert.True(context.Takes(head), $"{where}: {context} was found as {head}");
                    break;

                case 3:
                    stores[1] = await OpenAsync();
                    break;

                case 4 or 5 when contexts.Count > 0:
                    await ExpectAsync(store, contexts[random.Next(contexts.Count)], random.Next(1, 3000), where);
                    break;

                default:
                    var writes = contexts.Where(_ => random.Next(3) > 0).Select(one => (Context: one, Write: one.Next(random))).ToList();
                    var outcomes = await store.CommitAsync(writes.ConvertAll(one => one.Write), default);
                    foreach (var ((one, write), outcome) in writes.Zip(outcomes))
                    {
                        Assert.True(outcome == one.Do(write), $"{where}: {write} of {one} was {outcome}");
                    }

                    break;
            }
        }

        foreach (var context in contexts)
        {
            await ExpectAsync(Store, context, int.MaxValue, $"the end, IOMMUFD_SEED={seed}");
        }
    }

    private static async Task ExpectAsync(IJournalStore store, Expected context, int pageBytes, string where)
    {
        var found = await ReadAllAsync(store, context.Key, pageBytes);
        Assert.True(
            context.Records.Select(record => (record.Key, Convert.ToHexString(record.Value))).SequenceEqual(found.Select(entry => (entry.Position, Convert.ToHexString(entry.Frame)))),
            $"{where}: {context} was read as positions {string.Join(' ', found.Select(entry => entry.Position))}");
    }

    /// <summary>What a journal is to have.</summary>
    private sealed class Expected(ContextKey key)
    {
        private long _epoch = 1;
        private long _last;
        private long _snapshotPosition;
        private byte[]? _snapshot;
        private byte[]? _released;

        public ContextKey Key => key;

        public SortedDictionary<long, byte[]> Records { get; } = [];

        /// <summary>A write that makes sense; now and then one of an epoch that is over.</summary>
        public JournalWrite Next(Random random)
        {
            var epoch = random.Next(10) == 0 ? _epoch - 1 : _epoch;
            var frame = new byte[random.Next(random.Next(8) == 0 ? 300_000 : 300)];
            random.NextBytes(frame);
            return random.Next(30) switch
            {
                0 => new ReleaseJournal(key, epoch, frame),
                1 or 2 => new StoreSnapshot(key, epoch, random.NextInt64(_snapshotPosition, _last + 1), frame),
                3 => new StoreSnapshot(key, epoch, _last + 1, frame),
                4 or 5 => new ConfirmEpoch(key, epoch),
                _ => new AppendRecord(key, epoch, Math.Max(_last, _snapshotPosition) + 1, frame),
            };
        }

        public JournalOutcome Do(JournalWrite write)
        {
            if (write.Epoch != _epoch || _released is not null)
            {
                return JournalOutcome.Fenced;
            }

            switch (write)
            {
                case AppendRecord append:
                    Records.Add(_last = append.Position, append.Frame);
                    break;

                case StoreSnapshot snapshot:
                    (_snapshotPosition, _snapshot) = (snapshot.Position, snapshot.Frame);
                    _last = Math.Max(_last, _snapshotPosition);
                    Forget(_snapshotPosition);
                    break;

                case ReleaseJournal release:
                    (_released, _snapshotPosition, _snapshot) = (release.Frame, 0, null);
                    Forget(long.MaxValue);
                    break;
            }

            return JournalOutcome.Committed;
        }

        public bool Takes(JournalHead? head)
            => head is not null && head.Epoch == ++_epoch && head.SnapshotPosition == _snapshotPosition && Same(head.Snapshot, _snapshot) && Same(head.Released, _released);

        public override string ToString()
            => $"the context with epoch {_epoch}, snapshot {_snapshotPosition}, positions {string.Join(' ', Records.Keys)}{(_released is null ? "" : ", released")}";

        private static bool Same(byte[]? one, byte[]? other) => one is null ? other is null : other is not null && one.AsSpan().SequenceEqual(other);

        private void Forget(long upTo)
        {
            foreach (var position in Records.Keys.TakeWhile(position => position <= upTo).ToList())
            {
                Records.Remove(position);
            }
        }
    }
}
