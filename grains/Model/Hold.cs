using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Model;

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

/// <summary>An owner of holds, which last longer than one ioctl: an object, or a reference of a driver.</summary>
internal abstract class HoldOwner
{
    /// <summary>The first edge to what it holds.</summary>
    public Hold? FirstHeld { get; set; }

    /// <summary>How many objects it holds.</summary>
    public int HeldCount { get; set; }

    /// <summary>What it holds, latest first.</summary>
    public IEnumerable<Hold> Held()
    {
        for (var hold = FirstHeld; hold is not null; hold = hold.NextHeld)
        {
            yield return hold;
        }
    }

    /// <summary>How an edge of this owner is shown to people.</summary>
    public abstract Holder Describe(Hold hold);
}
