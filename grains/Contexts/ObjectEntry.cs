using IommuFd.GrainInterfaces;
using IommuFd.Grains.Objects;
using IommuFd.Grains.Snapshots;

namespace IommuFd.Grains.Contexts;

// The nodes and edges of a context's object graph. An edge is a Hold: whoever holds an object (another object, or a driver's
// reference to the context) owns the edge, and stands in two lists at once: those that the owner holds, and those that hold the
// target. Both lists are threaded through the edges themselves, so that taking and dropping a hold cost the same however many
// there are, and an object without any costs no list.
//
// Whoever takes a hold comes first in both lists, so that both are in the order of time, latest first.
//
// Always: Users of an object is 1 for the table and 1 for each edge in its Holders list.

/// <summary>Whoever can hold objects for longer than one ioctl.</summary>
internal abstract class HoldOwner
{
    /// <summary>The first edge to what it holds.</summary>
    public Hold? FirstHeld { get; set; }

    /// <summary>How many objects it holds.</summary>
    public int HeldCount { get; set; }

    /// <summary>How an edge of this owner is shown to people.</summary>
    public abstract Holder Describe(Hold hold);
}

/// <summary>One users count on an object, with the one that has it and why.</summary>
internal sealed class Hold
{
    private Hold(HoldId id, HoldOwner owner, ObjectEntry target, string why)
    {
        Id = id;
        Owner = owner;
        Target = target;
        Why = why;
        NextHeld = owner.FirstHeld;
        NextHolder = target.FirstHolder;
    }

    /// <summary>The number that a driver drops it by; 0 where an object holds.</summary>
    public HoldId Id { get; }

    public HoldOwner Owner { get; }

    public ObjectEntry Target { get; }

    public string Why { get; }

    /// <summary>The next that the same owner holds.</summary>
    public Hold? NextHeld { get; private set; }

    /// <summary>The next that holds the same target.</summary>
    public Hold? NextHolder { get; private set; }

    /// <summary>The one before in the list of what the owner holds.</summary>
    public Hold? PreviousHeld { get; private set; }

    /// <summary>The one before in the list of who holds the target.</summary>
    public Hold? PreviousHolder { get; private set; }

    /// <summary>Adds 1 to an object's users for an owner: the one step from a short use within an ioctl to a count that outlives it.</summary>
    public static Hold RefToUsers(HoldOwner owner, ObjectEntry target, string why, HoldId id = default)
    {
        var hold = new Hold(id, owner, target, why);
        if (hold.NextHeld is { } held)
        {
            held.PreviousHeld = hold;
        }

        if (hold.NextHolder is { } holder)
        {
            holder.PreviousHolder = hold;
        }

        owner.FirstHeld = hold;
        target.FirstHolder = hold;
        owner.HeldCount++;
        target.Users++;
        return hold;
    }

    /// <summary>Takes back what <see cref="RefToUsers"/> added. Where the hold led to stays readable, so that a list can be walked while it is dropped.</summary>
    public void Drop()
    {
        if (NextHeld is { } nextHeld)
        {
            nextHeld.PreviousHeld = PreviousHeld;
        }

        if (PreviousHeld is { } previousHeld)
        {
            previousHeld.NextHeld = NextHeld;
        }
        else
        {
            Owner.FirstHeld = NextHeld;
        }

        LeaveHolders();
        Owner.HeldCount--;
        Target.Users--;
    }

    /// <summary>Leaves the list of those that hold the target, and nothing else.</summary>
    public void LeaveHolders()
    {
        if (NextHolder is { } nextHolder)
        {
            nextHolder.PreviousHolder = PreviousHolder;
        }

        if (PreviousHolder is { } previousHolder)
        {
            previousHolder.NextHolder = NextHolder;
        }
        else
        {
            Target.FirstHolder = NextHolder;
        }
    }
}

/// <summary>An object of a context: its row in the table. Each kind of object derives from it and adds what the context must know of it.</summary>
internal abstract class ObjectEntry(ObjectId id, ObjectType type, long serial) : HoldOwner
{
    public ObjectId Id { get; } = id;

    public ObjectType Type { get; } = type;

    /// <summary>Tells this object from others that had or will have its id.</summary>
    public long Serial { get; } = serial;

    /// <summary>False from reserve to finalize: then no request can see it.</summary>
    public bool IsFinalized { get; set; }

    /// <summary>The users count. DESTROY succeeds at exactly 1.</summary>
    public long Users { get; set; } = 1;

    /// <summary>The first edge from who holds it.</summary>
    public Hold? FirstHolder { get; set; }

    public ObjectRef Ref => new(Type, Id);

    /// <summary>What people call it, beside its kind and id; may be empty.</summary>
    public virtual string Name => "";

    public override Holder Describe(Hold hold) => new(Type, Id, hold.Why, default);

    /// <summary>Writes down what the entry has beside its id, its serial number and its holds; null for nothing.</summary>
    public virtual EntrySnapshot? Save() => null;

    /// <summary>Finds its holds among those that are there again. Kinds that hold nothing have none to find.</summary>
    /// <param name="snapshot">What <see cref="Save"/> wrote.</param>
    public virtual void Relink(EntrySnapshot? snapshot) => SnapshotDamage.Require(FirstHeld is null, "An object of a kind that holds nothing holds something.");

    /// <summary>Makes the entry one that is gone, with its table: what it held is counted without it already.</summary>
    public void Forget()
    {
        (FirstHeld, FirstHolder, HeldCount, IsFinalized) = (null, null, 0, false);
    }

    /// <summary>Takes the holds of objects that are gone out of the list of holders.</summary>
    public void ForgetGoneHolders()
    {
        for (var hold = FirstHolder; hold is not null; hold = hold.NextHolder)
        {
            if (hold.Owner is ObjectEntry { IsFinalized: false })
            {
                hold.LeaveHolders();
            }
        }
    }

    /// <summary>The first holders, for people.</summary>
    public Holder[] DescribeHolders(int limit)
    {
        if (FirstHolder is null)
        {
            return [];
        }

        var holders = new List<Holder>();
        for (var hold = FirstHolder; hold is not null && holders.Count < limit; hold = hold.NextHolder)
        {
            holders.Add(hold.Owner.Describe(hold));
        }

        return [.. holders];
    }
}
