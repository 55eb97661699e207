using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Model;

public sealed class ReleaseTests
{
    private readonly ObjectTable _objects = new();

    [Fact]
    public void Release_of_an_empty_table_destroys_nothing()
    {
        var (destroyed, stuck) = _objects.Release();
        Expect.Equal((0, 0), (destroyed.Count, stuck.Count), "objects destroyed and stuck");
    }

    [Fact]
    public void Leaves_go_first_whatever_their_ids()
    {
        // 1 and 5 are held by 3, which 2 holds, which 4 holds; 6 stands alone.
        var entries = Add(6);
        Hold(3, 1);
        Hold(3, 5);
        Hold(2, 3);
        Hold(4, 2);
        var (destroyed, stuck) = _objects.Release();
        Expect.Equal(0, stuck.Count, "stuck objects");
        Expect.Sequence<uint>([1, 2, 3, 4, 5, 6], destroyed.Select(entry => entry.Id.Value).Order(), "the destroyed objects");
        var order = destroyed.Select(entry => entry.Id.Value).ToList();
        foreach (var (holder, held) in (ReadOnlySpan<(uint, uint)>)[(3, 1), (3, 5), (2, 3), (4, 2)])
        {
            Expect.That(order.IndexOf(holder) < order.IndexOf(held), $"{held} went before {holder}, which holds it, in the order {string.Join(", ", order)}.");
        }

        ExpectEmpty(entries);
    }

    [Fact]
    public void An_object_that_is_held_twice_by_one_owner_goes_after_it_and_once()
    {
        var entries = Add(2);
        Hold(2, 1);
        Hold(2, 1);
        var (destroyed, stuck) = _objects.Release();
        Expect.Sequence<uint>([2, 1], destroyed.Select(entry => entry.Id.Value), "the destroyed objects in order");
        Expect.Equal(0, stuck.Count, "stuck objects");
        ExpectEmpty(entries);
    }

    [Fact]
    public void An_object_that_many_hold_goes_once_after_the_last_of_them()
    {
        var entries = Add(50);
        for (uint holder = 1; holder <= 50; holder++)
        {
            if (holder != 25)
            {
                Hold(holder, 25);
            }
        }

        var (destroyed, _) = _objects.Release();
        Expect.Equal(50, destroyed.Count, "destroyed objects");
        Expect.Equal(25U, destroyed[^1].Id.Value, "the last object to go");
        ExpectEmpty(entries);
    }

    [Fact]
    public void Objects_that_hold_each_other_in_a_circle_are_stuck_and_the_rest_still_goes()
    {
        // 1 -> 2 -> 1 is a circle; 3 holds into it, and it holds 4; 5 holds itself; 6 holds 7.
        Add(7);
        Hold(1, 2);
        Hold(2, 1);
        Hold(3, 1);
        Hold(2, 4);
        Hold(5, 5);
        Hold(6, 7);
        var (destroyed, stuck) = _objects.Release();
        Expect.Sequence<uint>([3, 6, 7], destroyed.Select(entry => entry.Id.Value).Order(), "the destroyed objects");
        Expect.Sequence<uint>([1, 2, 4, 5], stuck.Select(entry => entry.Id.Value), "the stuck objects");
        Expect.Equal((2L, 2L, 2L, 2L), (stuck[0].Users, stuck[1].Users, stuck[2].Users, stuck[3].Users), "users of the stuck objects");
        Expect.Sequence(["IOAS 2 (test)"], stuck[0].DescribeHolders(10).Select(holder => holder.ToString()), "who still holds object 1");
        Expect.Equal(0, _objects.Count, "live objects after the release");
        Expect.Equal(null, _objects.Find(1), "a stuck object after the release");
        Expect.Sequence([], _objects.After(0), "objects listed after the release");
    }

    [Fact]
    public void Tombstones_and_reservations_are_no_objects_to_destroy()
    {
        Add(2);
        _objects.Remove(1, leaveTombstone: true, out _);
        _objects.Reserve(ObjectType.Ioas);
        var (destroyed, stuck) = _objects.Release();
        Expect.Sequence<uint>([2], destroyed.Select(entry => entry.Id.Value), "the destroyed objects");
        Expect.Equal(0, stuck.Count, "stuck objects");
    }

    // A release by repeated scans is quadratic on one chain or the other, whichever way it scans: 10^11 steps, which no run waits for.
    [Fact]
    public void A_release_looks_at_each_of_a_million_objects_and_holds_once()
    {
        const uint Links = 250_000;
        var entries = Add((int)(4 * Links));

        // A chain whose leaf has the highest id, one whose leaf has the lowest, and a star whose hub half of the objects hold.
        for (uint i = 1; i < Links; i++)
        {
            Hold(i + 1, i);
            Hold(Links + i, Links + i + 1);
        }

        for (var i = (2 * Links) + 2; i <= 4 * Links; i++)
        {
            Hold(i, (2 * Links) + 1);
        }

        var (destroyed, stuck) = _objects.Release();
        Expect.Equal(((int)(4 * Links), 0), (destroyed.Count, stuck.Count), "objects destroyed and stuck");
        ExpectEmpty(entries);
    }

    private ObjectEntry[] Add(int count)
    {
        var entries = new ObjectEntry[count];
        for (var i = 0; i < count; i++)
        {
            entries[i] = _objects.Reserve(ObjectType.Ioas)!;
            _objects.Finalize(entries[i]);
        }

        return entries;
    }

    private void Hold(uint owner, uint target) => Grains.Model.Hold.RefToUsers(_objects.Find(owner)!, _objects.Find(target)!, "test");

    private void ExpectEmpty(ObjectEntry[] entries)
    {
        Expect.That(_objects.IsEmpty && _objects.Count == 0, $"After the release the table has {_objects.Count} objects, and ids that are taken.");
        foreach (var entry in entries)
        {
            if (entry.Users != 1 || entry.HeldCount != 0 || entry.FirstHeld is not null || entry.FirstHolder is not null)
            {
                Assert.Fail($"{entry.Ref} was destroyed with {entry.Users} users and {entry.HeldCount} holds of its own; it must have 1 and 0.");
            }
        }
    }
}
