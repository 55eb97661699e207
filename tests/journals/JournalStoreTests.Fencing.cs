using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;

namespace IommuFd.JournalTests;

/// <summary>Epochs: who may write, and that this holds whatever happens at the same time.</summary>
public abstract partial class JournalStoreTests
{
    [Fact]
    public async Task Taking_a_journal_over_fences_whoever_had_it()
    {
        var key = await CreateAsync();
        await AppendAsync(key, 1, 1, [1]);
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new ConfirmEpoch(key, 1)));

        Assert.Equal(2, (await Store.AcquireAsync(key, "silo-2", default))!.Epoch);

        foreach (var write in (JournalWrite[])[new ConfirmEpoch(key, 1), new AppendRecord(key, 1, 2, [2]), new StoreSnapshot(key, 1, 1, [3]), new ReleaseJournal(key, 1, [4])])
        {
            Assert.Equal(JournalOutcome.Fenced, await CommitAsync(Store, write));
        }

        Assert.Equal([1], Assert.Single(await ReadAllAsync(Store, key)).Frame);
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new AppendRecord(key, 2, 2, [5])));
        Assert.Equal(JournalOutcome.Committed, await CommitAsync(Store, new ConfirmEpoch(key, 2)));
        Assert.Equal(new JournalInfo(key, 2, "silo-2"), Assert.Single(await Store.ListAsync(null, 10, default)));
    }

    [Fact]
    public async Task An_epoch_that_was_never_given_can_write_nothing()
    {
        var key = await CreateAsync();
        foreach (var epoch in (long[])[0, -1, 2, long.MaxValue, long.MinValue])
        {
            Assert.Equal(JournalOutcome.Fenced, await CommitAsync(Store, new ConfirmEpoch(key, epoch)));
            Assert.Equal(JournalOutcome.Fenced, await CommitAsync(Store, new AppendRecord(key, epoch, 1, [1])));
        }

        Assert.Empty(await ReadAllAsync(Store, key));
    }

    [Fact]
    public async Task A_fenced_write_does_not_stand_in_the_way_of_others_in_its_commit()
    {
        var (appended, confirmed, compacted, released) = (await CreateAsync(), await CreateAsync(), await CreateAsync(), await CreateAsync());
        var (fenced, gone, unknown) = (await CreateAsync(), await CreateAsync(), ContextHandle.NewRandom().Key);
        await Store.AcquireAsync(fenced, "silo-2", default);
        await CommitAsync(Store, new ReleaseJournal(gone, 1, [0]));

        var outcomes = await Store.CommitAsync(
            [
                new AppendRecord(fenced, 1, 1, [1]),
                new AppendRecord(appended, 1, 1, [2]),
                new StoreSnapshot(gone, 1, 1, [3]),
                new ConfirmEpoch(confirmed, 1),
                new ReleaseJournal(unknown, 1, [4]),
                new StoreSnapshot(compacted, 1, 7, [5]),
                new ReleaseJournal(released, 1, [6]),
            ],
            default);

        var (made, not) = (JournalOutcome.Committed, JournalOutcome.Fenced);
        Assert.Equal([not, made, not, made, not, made, made], outcomes);
        Assert.Empty(await ReadAllAsync(Store, fenced));
        Assert.Equal([2], Assert.Single(await ReadAllAsync(Store, appended)).Frame);
        Assert.Equal([5], (await Store.AcquireAsync(compacted, Owner, default))!.Snapshot);
        Assert.Equal([6], (await Store.AcquireAsync(released, Owner, default))!.Released);
        Assert.Equal([0], (await Store.AcquireAsync(gone, Owner, default))!.Released);
        Assert.Null(await Store.AcquireAsync(unknown, Owner, default));
    }

    /// <summary>
    /// Activations on two silos take the same journals from each other, and each appends what it can. Seeded as far as threads can be: who pauses where and
    /// which contexts share a commit.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Whoever_has_an_earlier_epoch_writes_nothing_once_a_later_one_was_taken(int seed)
    {
        const int Contexts = 4;
        const int Activations = 12;
        const int Rounds = 12;
        IJournalStore[] silos = [Store, await OpenAsync()];
        var keys = new List<ContextKey>();
        for (var i = 0; i < Contexts; i++)
        {
            keys.Add(await CreateAsync());
        }

        var made = new ConcurrentBag<(ContextKey Key, long Position, string Content)>();
        var refused = new ConcurrentBag<(ContextKey Key, string Content)>();
        var seen = new ConcurrentBag<(ContextKey Key, long Epoch, long Last)>();
        await Task.WhenAll(Enumerable.Range(0, Activations).Select(number => Task.Run(() => ActAsync(number))));

        foreach (var key in keys)
        {
            var records = (await ReadAllAsync(Store, key)).ConvertAll(entry => (entry.Position, Content: Encoding.ASCII.GetString(entry.Frame)));
            Assert.Equal(Enumerable.Range(1, records.Count).Select(i => (long)i), records.Select(record => record.Position));
            var epochs = records.ConvertAll(record => long.Parse(record.Content.Split(' ')[0], CultureInfo.InvariantCulture));
            Assert.Equal(epochs.Order(), epochs);
            Assert.Equal(
                made.Where(one => one.Key == key).Select(one => (one.Position, one.Content)).Order(),
                records.Select(record => (record.Position, record.Content)).Order());
            Assert.Empty(refused.Where(one => one.Key == key).Select(one => one.Content).Intersect(records.Select(record => record.Content)));

            // What a new epoch has read is all that the earlier ones will ever have written.
            Assert.All(seen.Where(one => one.Key == key), one => Assert.DoesNotContain(epochs.Skip((int)one.Last), epoch => epoch < one.Epoch));
        }

        Assert.NotEmpty(made);
        Assert.NotEmpty(refused);

        async Task ActAsync(int number)
        {
            var random = new Random((seed * 1000) + number);
            var silo = silos[number % silos.Length];
            var earlier = new Dictionary<ContextKey, (long Epoch, long Position)>();
            for (var round = 0; round < Rounds; round++)
            {
                // Each activation has two contexts at once, which share commits in either order.
                ContextKey[] own = [.. keys.OrderBy(_ => random.Next()).Take(2)];
                var places = new Dictionary<ContextKey, (long Epoch, long Position)>();
                foreach (var key in own)
                {
                    var head = await silo.AcquireAsync(key, $"silo-{number % silos.Length}", default);
                    var last = (await ReadAllAsync(silo, key)).LastOrDefault().Position;
                    places[key] = (head!.Epoch, last);
                    seen.Add((key, head.Epoch, last));
                }

                // What this activation had before wakes up late, at the same time as what it has now.
                var late = Task.WhenAll(own.Where(earlier.ContainsKey).Select(key => WriteLateAsync(silo, key, earlier[key])));
                foreach (var (key, place) in places)
                {
                    earlier[key] = place;
                }

                while (places.Count > 0)
                {
                    var writes = places.Select(place => (JournalWrite)new AppendRecord(
                        place.Key, place.Value.Epoch, place.Value.Position + 1, Encoding.ASCII.GetBytes($"{place.Value.Epoch} {number} {round} {place.Value.Position + 1}"))).ToList();
                    var outcomes = await silo.CommitAsync(writes, default);
                    for (var i = 0; i < outcomes.Length; i++)
                    {
                        var append = (AppendRecord)writes[i];
                        var content = Encoding.ASCII.GetString(append.Frame);
                        if (outcomes[i] == JournalOutcome.Committed)
                        {
                            made.Add((append.Key, append.Position, content));
                            places[append.Key] = (append.Epoch, append.Position);
                        }
                        else
                        {
                            refused.Add((append.Key, content));
                            places.Remove(append.Key);
                        }
                    }

                    if (random.Next(6) == 0)
                    {
                        break;
                    }
                }

                await late;
            }
        }

        async Task WriteLateAsync(IJournalStore silo, ContextKey key, (long Epoch, long Position) place)
        {
            for (var position = place.Position + 1; position < place.Position + 4; position++)
            {
                var content = $"{place.Epoch} late {position}";
                Assert.Equal(JournalOutcome.Fenced, await CommitAsync(silo, new AppendRecord(key, place.Epoch, position, Encoding.ASCII.GetBytes(content))));
                refused.Add((key, content));
            }
        }
    }

    [Fact]
    public async Task Two_silos_that_commit_the_same_contexts_in_opposite_order_do_not_stop_each_other()
    {
        const int Contexts = 20;
        const int Rounds = 25;
        var other = await OpenAsync();
        var keys = new List<ContextKey>();
        for (var i = 0; i < Contexts; i++)
        {
            keys.Add(await CreateAsync());
        }

        // One of them is fenced everywhere, and takes the locks all the same.
        foreach (var key in keys)
        {
            await Store.AcquireAsync(key, Owner, default);
        }

        var fenced = Task.Run(async () =>
        {
            for (var round = 0; round < Rounds; round++)
            {
                Assert.All(
                    await other.CommitAsync([.. keys.AsEnumerable().Reverse().Select(key => new AppendRecord(key, 1, 1, [0]))], default),
                    outcome => Assert.Equal(JournalOutcome.Fenced, outcome));
            }
        });
        for (var round = 1; round <= Rounds; round++)
        {
            Assert.All(
                await Store.CommitAsync([.. keys.Select(key => new AppendRecord(key, 2, round, [1]))], default),
                outcome => Assert.Equal(JournalOutcome.Committed, outcome));
        }

        await fenced;
        foreach (var key in keys)
        {
            Assert.Equal(Rounds, (await ReadAllAsync(Store, key)).Count);
        }
    }

    [Fact]
    public async Task A_confirmation_knows_every_epoch_that_was_taken_before_it_began()
    {
        const int Rounds = 100;
        var other = await OpenAsync();
        var key = await CreateAsync();
        for (long epoch = 1; epoch <= Rounds; epoch++)
        {
            Assert.Equal(JournalOutcome.Committed, await CommitAsync(other, new ConfirmEpoch(key, epoch)));
            Assert.Equal(epoch + 1, (await Store.AcquireAsync(key, Owner, default))!.Epoch);
            Assert.Equal(JournalOutcome.Fenced, await CommitAsync(other, new ConfirmEpoch(key, epoch)));
        }
    }
}
