using CsCheck;
using IommuFd.Grains.Model;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Model;

public sealed class IdAllocatorTests
{
    // Where a level of the tree is full: 64 ids fill its first word, 64^2 the second level's, 64^3 the third's. Id 0 is one of them.
    private static readonly uint[] Boundaries = [64, 4096, 262_144];

    private enum Step
    {
        Allocate,
        FreeAny,
        FreeNearBoundary,
        FreeRun,
    }

    [Fact]
    public void Ids_start_at_1_and_grow_by_1_across_every_level_of_the_tree()
    {
        var ids = new IdAllocator();
        for (uint expected = 1; expected <= 270_000; expected++)
        {
            if (!ids.TryAllocate(out var id) || id != expected)
            {
                Assert.Fail($"With ids 1 to {expected - 1} taken, the next is {expected}; it was {id}.");
            }
        }

        Expect.Equal(270_000, ids.Count, "ids taken");
    }

    [Fact]
    public void A_freed_id_is_the_next_one_given_however_many_are_taken()
    {
        var ids = Taken(270_000);
        uint[] around = [.. Boundaries.SelectMany(boundary => (uint[])[boundary - 1, boundary, boundary + 1]), 1, 2, 270_000];
        foreach (var id in around)
        {
            ids.Free(id);
            Expect.Equal(id, Allocate(ids), $"the id given after {id} of 270000 was freed");
        }

        Expect.Equal(270_001U, Allocate(ids), "the id given when none below is free");
    }

    [Fact]
    public void The_lowest_of_several_freed_ids_is_given_first()
    {
        var ids = Taken(270_000);
        uint[] freed = [262_145, 63, 262_144, 4096, 1, 262_143, 65, 4095, 64, 200_000];
        foreach (var id in freed)
        {
            ids.Free(id);
        }

        Expect.Sequence(freed.Order(), freed.Select(_ => Allocate(ids)), "the ids given again");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(62)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(4095)]
    [InlineData(4096)]
    [InlineData(5000)]
    public void Ids_start_at_1_again_when_all_were_freed(int taken)
    {
        foreach (var ascending in (bool[])[true, false])
        {
            var ids = Taken(taken);
            for (var i = 1; i <= taken; i++)
            {
                ids.Free((uint)(ascending ? i : taken + 1 - i));
            }

            Expect.Equal(0, ids.Count, $"ids taken after {taken} were freed");
            Expect.Sequence(
                Enumerable.Range(1, taken + 70).Select(id => (uint)id), Enumerable.Range(1, taken + 70).Select(_ => Allocate(ids)), "the ids given again");
        }
    }

    [Fact]
    public void When_every_id_is_taken_there_is_none()
    {
        var ids = new IdAllocator();
        Exhaustion.Exhaust(ids);
        Expect.That(!ids.TryAllocate(out var id) && id == 0, $"With 2^31 - 1 ids taken, id {id} was given.");
        Expect.Equal(int.MaxValue, ids.Count, "ids taken");
        Expect.Equal(2_147_483_647U, IdAllocator.Max, "the greatest id, xa_limit_31b");
    }

    [Fact]
    public void Any_sequence_gives_the_ids_that_a_sorted_set_of_free_ids_gives()
    {
        var start = Gen.OneOf(
            Gen.Int[0, 200],
            from boundary in Gen.OneOf(64, 4096) from offset in Gen.Int[-70, 70] select Math.Max(0, boundary + offset),
            from offset in Gen.Int[-70, 70] select 262_144 + offset);
        var steps = Gen.Select(Gen.OneOf(Enum.GetValues<Step>()), Gen.Int[0, int.MaxValue]).Array[0, 200];
        Gen.Select(start, steps).Sample(
            (start, steps) =>
            {
                var ids = Taken(start);
                var naive = new NaiveIds(start);
                foreach (var (step, choice) in steps)
                {
                    foreach (var id in naive.Choose(step, choice))
                    {
                        ids.Free(id);
                        naive.Free(id);
                    }

                    for (var i = 0; step == Step.Allocate && i <= choice % 70; i++)
                    {
                        var (expected, given) = (naive.Allocate(), Allocate(ids));
                        if (expected != given)
                        {
                            Assert.Fail($"After {start} ids and some steps, the lowest free id is {expected}; {given} was given.");
                        }
                    }

                    Expect.Equal(naive.Count, ids.Count, "ids taken");
                }
            },
            iter: 150,
            threads: 1);
    }

    private static IdAllocator Taken(int count)
    {
        var ids = new IdAllocator();
        for (var i = 0; i < count; i++)
        {
            ids.TryAllocate(out _);
        }

        return ids;
    }

    private static uint Allocate(IdAllocator ids)
    {
        Expect.That(ids.TryAllocate(out var id), $"No id was given although only {ids.Count} are taken.");
        return id;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Ids_that_are_taken_in_any_order_leave_the_others_to_be_given_in_theirs(int seed)
    {
        var random = new Random(seed);
        var ids = new IdAllocator();
        var taken = new HashSet<uint>();
        foreach (var limit in (int[])[80, 5000, 270_000])
        {
            // Every id but a few, so that words of each level are full, and a few of the rest.
            var order = Enumerable.Range(1, limit).Where(_ => random.Next(limit / 16) != 0).Select(id => (uint)id).ToArray();
            random.Shuffle(order);
            foreach (var id in order)
            {
                Expect.Equal(taken.Add(id), ids.TryTake(id), $"whether {id} could be taken, seed {seed}");
                Expect.That(ids.IsTaken(id), $"{id} is not taken after it was, seed {seed}.");
            }

            Expect.Equal(taken.Count, ids.Count, $"ids taken, seed {seed}");
            for (var i = 0; i < 20; i++)
            {
                var given = Allocate(ids);
                uint lowest = 1;
                while (taken.Contains(lowest))
                {
                    lowest++;
                }

                Expect.Equal(lowest, given, $"the next id of {taken.Count}, seed {seed}");
                taken.Add(given);
            }

            foreach (var id in taken.Where(id => id % 7 == 0).ToList())
            {
                ids.Free(id);
                taken.Remove(id);
            }
        }
    }

    [Fact]
    public void The_greatest_id_can_be_taken_first()
    {
        var ids = new IdAllocator();
        Expect.That(!ids.TryTake(0) && ids.TryTake(5_000_000) && !ids.TryTake(5_000_000) && ids.TryTake(1), "Ids that are free could not be taken, or others could.");
        Expect.Equal((2U, 3U), (Allocate(ids), Allocate(ids)), "the ids that are given then");
    }

    /// <summary>Ids below <c>_next</c> are taken unless they are in the set of freed ones.</summary>
    private sealed class NaiveIds(int start)
    {
        private readonly SortedSet<uint> _freed = [];
        private uint _next = (uint)start + 1;

        public int Count => (int)_next - 1 - _freed.Count;

        public uint Allocate()
        {
            if (_freed.Count == 0)
            {
                return _next++;
            }

            var lowest = _freed.Min;
            _freed.Remove(lowest);
            return lowest;
        }

        public void Free(uint id)
        {
            _freed.Add(id);
            if (Count == 0)
            {
                // Starting over gives the same ids as going on would.
                _freed.Clear();
                _next = 1;
            }
        }

        /// <summary>Taken ids that a step frees.</summary>
        public List<uint> Choose(Step step, int choice)
        {
            var any = (uint)(1 + (choice % Math.Max(1, (int)_next - 1)));
            var near = (uint)(Boundaries[choice % 3] + (choice / 3 % 5) - 2);
            IEnumerable<uint> chosen = step switch
            {
                Step.FreeAny => [any],
                Step.FreeNearBoundary => [near],
                Step.FreeRun => Enumerable.Range((int)any, 70).Select(id => (uint)id),
                _ => [],
            };
            return [.. chosen.Where(id => id < _next && !_freed.Contains(id))];
        }
    }
}
