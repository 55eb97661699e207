using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Model;

public sealed class ObjectTableTests
{
    // The table takes every type; so far only one has a name.
    private const ObjectType Other = (ObjectType)1000;

    private readonly ObjectTable _objects = new();

    [Fact]
    public void A_reserved_object_takes_its_id_and_nobody_can_see_it()
    {
        var entry = _objects.Reserve(ObjectType.Ioas)!;
        Expect.Equal(new ObjectId(1), entry.Id, "the id reserved first");
        Expect.That(!entry.IsFinalized, "A reserved object is finalized.");
        ExpectUnseen(1, "a reserved id");
        Expect.That(!_objects.IsEmpty, "A table with a reserved id is empty.");
        Expect.Equal(new ObjectId(2), _objects.Reserve(ObjectType.Ioas)!.Id, "the id reserved next");
    }

    [Fact]
    public void A_finalized_object_is_visible_with_one_user_the_table()
    {
        var entry = Add();
        Expect.Equal(entry, _objects.Find(1), "the object with id 1");
        Expect.Equal(entry, _objects.Find(1, ObjectType.Ioas), "the IOAS with id 1");
        Expect.Equal(entry, _objects.Find(1, ObjectType.Any), "the object of any type with id 1");
        Expect.Equal(1L, entry.Users, "users of a new object");
        Expect.Sequence([], entry.DescribeHolders(10), "holders of a new object");
        Expect.Equal(1, _objects.Count, "live objects");
        Expect.Equal("IOAS 1", entry.Ref.ToString(), "how the object is shown");
    }

    [Fact]
    public void An_object_is_not_found_as_another_type()
    {
        Add(Other);
        Expect.Equal(null, _objects.Find(1, ObjectType.Ioas), "the IOAS with the id of an object of another type");
        Expect.Equal(Other, _objects.Find(1, Other)?.Type, "the object by its own type");
        Expect.Equal(Other, _objects.Find(1)?.Type, "the object by no type");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(int.MaxValue)]
    [InlineData(0x8000_0000)]
    [InlineData(uint.MaxValue)]
    public void An_id_that_no_object_has_finds_nothing(uint id)
    {
        Add();
        ExpectUnseen(id, $"id {id} in a table with one object");
    }

    [Fact]
    public void Abort_gives_the_id_back()
    {
        var entry = _objects.Reserve(ObjectType.Ioas)!;
        _objects.Abort(entry);
        ExpectUnseen(1, "an aborted id");
        Expect.That(_objects.IsEmpty, "A table whose only object was aborted is not empty.");
        Expect.Equal(new ObjectId(1), _objects.Reserve(ObjectType.Ioas)!.Id, "the id reserved after the abort");
    }

    [Fact]
    public void Abort_of_a_finalized_object_is_a_bug()
    {
        var entry = Add();
        Assert.Throws<InvalidOperationException>(() => _objects.Abort(entry));
        Expect.Equal(entry, _objects.Find(1), "the object after the refused abort");
    }

    [Fact]
    public void Abort_of_an_object_that_holds_another_is_a_bug_and_abort_and_destroy_drops_its_holds()
    {
        var target = Add();
        var entry = _objects.Reserve(Other)!;
        Hold.RefToUsers(entry, target, "first");
        Hold.RefToUsers(entry, target, "second");
        Expect.Equal(3L, target.Users, "users of an object that is held twice");
        Assert.Throws<InvalidOperationException>(() => _objects.Abort(entry));
        Expect.Equal(3L, target.Users, "users after the refused abort");

        _objects.AbortAndDestroy(entry);
        Expect.Equal(1L, target.Users, "users after the one who held it was undone");
        Expect.Sequence([], target.DescribeHolders(10), "holders after the one who held it was undone");
        Expect.Equal(0, entry.HeldCount, "holds of the undone object");
        Expect.Equal(new ObjectId(2), _objects.Reserve(Other)!.Id, "the id reserved after it was undone");
    }

    [Fact]
    public void Abort_of_an_object_that_is_held_is_a_bug()
    {
        var entry = _objects.Reserve(ObjectType.Ioas)!;
        Hold.RefToUsers(Add(), entry, "too early");
        Assert.Throws<InvalidOperationException>(() => _objects.Abort(entry));
        Assert.Throws<InvalidOperationException>(() => _objects.AbortAndDestroy(entry));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(uint.MaxValue)]
    public void Remove_without_such_an_object_is_ENOENT(uint id)
    {
        Add();
        _objects.Reserve(ObjectType.Ioas);
        Expect.Equal(Errno.ENOENT, _objects.Remove(id, leaveTombstone: false, out var entry), $"removing id {id}");
        Expect.Equal(null, entry, "the object that is not there");
        Expect.Equal(1, _objects.Count, "live objects");
        Expect.Equal(new ObjectId(3), _objects.Reserve(ObjectType.Ioas)!.Id, "the id reserved next");
    }

    [Fact]
    public void Remove_of_a_held_object_is_EBUSY_names_it_and_changes_nothing()
    {
        var (target, holder) = (Add(), Add(Other));
        var below = Add();
        Hold.RefToUsers(holder, target, "keeps it");
        Hold.RefToUsers(target, below, "uses it");
        Expect.Equal(Errno.EBUSY, _objects.Remove(1, leaveTombstone: false, out var entry), "removing a held object");
        Expect.Equal(target, entry, "the object that is busy");
        Expect.Equal(target, _objects.Find(1), "the object after the refused removal");
        Expect.Equal((2L, 2L, 1L), (target.Users, below.Users, holder.Users), "users of the held object, of what it holds, and of who holds it");
        Expect.Sequence([new Holder(Other, new ObjectId(2), "keeps it", default)], target.DescribeHolders(10), "the holders");
    }

    [Fact]
    public void Remove_drops_what_the_object_holds_and_its_id_is_reused_at_once()
    {
        var (target, holder) = (Add(), Add(Other));
        Hold.RefToUsers(holder, target, "keeps it");
        Expect.Equal(Errno.None, _objects.Remove(2, leaveTombstone: false, out var entry), "removing an object that nobody holds");
        Expect.Equal(holder, entry, "the object that was removed");
        Expect.Equal(1L, target.Users, "users of what it held");
        ExpectUnseen(2, "the id of the removed object");
        var next = Add();
        Expect.Equal(new ObjectId(2), next.Id, "the id given next");
        Expect.That(next.Serial > holder.Serial, $"The serial {next.Serial} of a later life of an id is not above {holder.Serial}, that of the life before.");
    }

    [Fact]
    public void A_tombstone_keeps_its_id_and_the_table_is_not_empty()
    {
        Add();
        Expect.Equal(Errno.None, _objects.Remove(1, leaveTombstone: true, out _), "removing an object with a tombstone");
        ExpectUnseen(1, "a tombstone");
        Expect.Equal(0, _objects.Count, "live objects");
        Expect.That(!_objects.IsEmpty, "A table with a tombstone is empty.");
        Expect.Equal(Errno.ENOENT, _objects.Remove(1, leaveTombstone: false, out _), "removing a tombstone");
        Expect.Equal(new ObjectId(2), Add().Id, "the id given next");
        Expect.Equal(Errno.None, _objects.Remove(2, leaveTombstone: false, out _), "removing the object behind the tombstone");
        Expect.That(!_objects.IsEmpty, "A table with a tombstone is empty after its last object went.");
    }

    [Fact]
    public void A_table_is_empty_again_when_its_last_object_went()
    {
        Expect.That(_objects.IsEmpty, "A new table is not empty.");
        for (var i = 0; i < 2000; i++)
        {
            Add();
        }

        for (uint id = 2000; id > 0; id--)
        {
            Expect.That(!_objects.IsEmpty, $"A table with {id} objects is empty.");
            Expect.Equal(Errno.None, _objects.Remove(id, leaveTombstone: false, out _), $"removing object {id}");
        }

        Expect.That(_objects.IsEmpty, "A table without an object is not empty.");
        ExpectUnseen(2000, "the id of a removed object");
        Expect.Equal(new ObjectId(1), Add().Id, "the id given next");
    }

    [Fact]
    public void Objects_are_listed_by_ascending_id_from_behind_a_given_one()
    {
        for (var i = 0; i < 100; i++)
        {
            Add();
        }

        _objects.Remove(50, leaveTombstone: false, out _);
        _objects.Remove(51, leaveTombstone: true, out _);
        _objects.Reserve(Other);
        Expect.Sequence<uint>([49, 52, 53], _objects.After(48).Take(3).Select(entry => entry.Id.Value), "the first three behind 48");
        Expect.Equal(98, _objects.After(0).Count(), "objects behind 0");
        Expect.Sequence([], _objects.After(100), "the objects behind the last");
        Expect.Sequence([], _objects.After(uint.MaxValue), "the objects behind any id");
    }

    [Fact]
    public void When_every_id_is_taken_nothing_is_reserved()
    {
        Exhaustion.Exhaust(_objects);
        Expect.Equal(null, _objects.Reserve(ObjectType.Ioas), "an object reserved when every id is taken");
    }

    [Fact]
    public void Holders_are_listed_up_to_a_limit_and_the_users_count_has_them_all()
    {
        var target = Add();
        for (var i = 0; i < 10; i++)
        {
            Hold.RefToUsers(Add(), target, $"hold {i}");
        }

        Expect.Equal(11L, target.Users, "users of an object with ten holders");
        Expect.Equal(3, target.DescribeHolders(3).Length, "holders listed of ten, at most three");
        Expect.Equal(10, target.DescribeHolders(64).Length, "holders listed of ten");
        Expect.Equal(0, target.DescribeHolders(0).Length, "holders listed, at most none");
    }

    [Fact]
    public void A_hold_can_be_dropped_from_any_place_among_its_owners_and_its_targets_holds()
    {
        // Three owners hold three targets each; each of the nine goes first once, then the rest in order.
        for (var first = 0; first < 9; first++)
        {
            ObjectEntry[] owners = [Add(), Add(), Add()];
            ObjectEntry[] targets = [Add(), Add(), Add()];
            var holds = Enumerable.Range(0, 9).Select(i => Hold.RefToUsers(owners[i / 3], targets[i % 3], $"{i}")).ToList();
            foreach (var dropped in Enumerable.Range(0, 9).OrderByDescending(i => i == first).ToArray())
            {
                var hold = holds.Single(hold => hold.Why == $"{dropped}");
                hold.Drop();
                holds.Remove(hold);
                for (var i = 0; i < 3; i++)
                {
                    var what = $"with hold {first} dropped first, after hold {dropped}";
                    Expect.Sequence(
                        holds.Where(hold => hold.Owner == owners[i]).Select(hold => hold.Why).Order(), Held(owners[i]).Select(hold => hold.Why).Order(),
                        $"what owner {i} holds {what}");
                    Expect.Equal(holds.Count(hold => hold.Owner == owners[i]), owners[i].HeldCount, $"HeldCount of owner {i} {what}");
                    Expect.Sequence(
                        holds.Where(hold => hold.Target == targets[i]).Select(hold => hold.Why).Order(),
                        targets[i].DescribeHolders(100).Select(holder => holder.Why).Order(),
                        $"who holds target {i} {what}");
                    Expect.Equal(1L + holds.Count(hold => hold.Target == targets[i]), targets[i].Users, $"users of target {i} {what}");
                }
            }
        }
    }

    private static IEnumerable<Hold> Held(HoldOwner owner)
    {
        for (var hold = owner.FirstHeld; hold is not null; hold = hold.NextHeld)
        {
            yield return hold;
        }
    }

    private ObjectEntry Add(ObjectType type = ObjectType.Ioas)
    {
        var entry = _objects.Reserve(type)!;
        _objects.Finalize(entry);
        return entry;
    }

    private void ExpectUnseen(uint id, string what)
    {
        Expect.Equal(null, _objects.Find(id), $"what {what} finds");
        Expect.Equal(null, _objects.Find(id, ObjectType.Ioas), $"the IOAS that {what} finds");
        Expect.Equal(null, _objects.Find(id, ObjectType.Any), $"the object of any type that {what} finds");
        Expect.That(_objects.After(0).All(entry => entry.Id.Value != id), $"The list of objects shows {what}.");
    }
}
