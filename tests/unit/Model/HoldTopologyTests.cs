using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Model;

/// <summary>The order of holds in which they can be taken again, so that who holds and who is held have them as before.</summary>
public sealed class HoldTopologyTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Holds_that_are_taken_again_in_that_order_stand_in_all_lists_as_before(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < 300; round++)
        {
            var (objects, references) = Graph(random.Next(1, 12), random.Next(0, 4));
            HoldOwner[] owners = [.. objects, .. references];
            var holds = new List<Hold>();
            for (var step = 0; step < 60; step++)
            {
                if (holds.Count > 0 && random.Next(3) == 0)
                {
                    var at = random.Next(holds.Count);
                    holds[at].Drop();
                    holds.RemoveAt(at);
                }
                else
                {
                    holds.Add(Hold.RefToUsers(owners[random.Next(owners.Length)], objects[random.Next(objects.Length)], $"step {step}"));
                }
            }

            var order = HoldTopology.OldestFirst(objects, references).ToList();
            Expect.Equal(holds.Count, order.Distinct().Count(), $"holds in the order, seed {seed}, round {round}");
            var (again, referencesAgain) = Graph(objects.Length, references.Length);
            foreach (var hold in order)
            {
                Hold.RefToUsers(
                    hold.Owner is ObjectEntry entry ? again[Array.IndexOf(objects, entry)] : referencesAgain[Array.IndexOf(references, (ContextReference)hold.Owner)],
                    again[Array.IndexOf(objects, hold.Target)],
                    hold.Why);
            }

            Expect.Equal(Show(objects, references), Show(again, referencesAgain), $"the lists, seed {seed}, round {round}");
        }
    }

    [Fact]
    public void Many_holds_that_wait_for_each_other_are_put_in_order_without_running_out_of_stack()
    {
        // The owners take the two targets in opposite order, so that the first owner's hold comes last.
        var (objects, _) = Graph(100_002, 0);
        for (var i = objects.Length - 1; i >= 2; i--)
        {
            Hold.RefToUsers(objects[i], objects[i % 2], "first");
            Hold.RefToUsers(objects[i], objects[1 - (i % 2)], "second");
        }

        Expect.Equal(200_000, HoldTopology.OldestFirst(objects, []).Count(), "holds in the order");
    }

    private static (ObjectEntry[] Objects, ContextReference[] References) Graph(int objects, int references)
    {
        var table = new ObjectTable();
        ObjectEntry[] made = [.. Enumerable.Range(0, objects).Select(_ => table.Reserve(ObjectType.Ioas)!)];
        Array.ForEach(made, table.Finalize);
        return (made, [.. Enumerable.Range(1, references).Select(id => new ContextReference(new ReferenceId(id), ReferenceKind.Driver, $"driver {id}"))]);
    }

    private static string Show(ObjectEntry[] objects, ContextReference[] references)
    {
        var held = objects.Concat<HoldOwner>(references).Select(owner => string.Join(", ", Held(owner)));
        var holders = objects.Select(entry => $"{entry.Users}: {string.Join(", ", (object[])entry.DescribeHolders(int.MaxValue))}");
        return string.Join('\n', held.Concat(holders));
    }

    private static IEnumerable<string> Held(HoldOwner owner)
    {
        for (var hold = owner.FirstHeld; hold is not null; hold = hold.NextHeld)
        {
            yield return $"{hold.Target.Ref} {hold.Why}";
        }
    }
}
