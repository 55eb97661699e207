using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Model;

// The nodes and edges of a context's object graph. An edge is a Hold. Its owner is the holder: another object, or a
// driver's reference to the context. The edge stands in two lists at once: what the owner holds, and what holds the target. Both lists are threaded through the edges themselves, so that taking and dropping a hold cost the same however many
// there are, and an object without any costs no list.
//
// A new hold comes first in both lists, so that both are in the order of time, latest first.
//
// Always: Users of an object is 1 for the table and 1 for each edge in its Holders list.

/// <summary>An object of a context: its row in the table. Each kind of object derives from it and adds what the context must know of it.</summary>
internal abstract class ObjectEntry(ObjectId id, ObjectKind kind, long serial) : HoldOwner
{
    public ObjectId Id { get; } = id;

    /// <summary>What differs from kind to kind.</summary>
    public ObjectKind Kind { get; } = kind;

    public ObjectType Type => Kind.Type;

    /// <summary>Tells this object from others that had or will have its id.</summary>
    public long Serial { get; } = serial;

    /// <summary>False from reserve to finalize: then no request can see it.</summary>
    public bool IsFinalized { get; set; }

    /// <summary>The users count. DESTROY succeeds at exactly 1.</summary>
    public long Users { get; set; } = 1;

    /// <summary>The first edge from who holds it.</summary>
    public Hold? FirstHolder { get; set; }

    public ObjectRef Ref => new(Type, Id);

    /// <summary>Whether only the one that made it holds it, so that it can be ended at any time: a driver can't hold it by name.</summary>
    public virtual bool IsLeaf => false;

    /// <summary>What people call it, beside its kind and id; may be empty.</summary>
    public virtual string Name => "";

    public override Holder Describe(Hold hold) => new(Type, Id, hold.Why, default);

    /// <summary>Saves what the entry has beside its id, its serial number and its holds; null for nothing.</summary>
    public virtual EntrySnapshot? Save() => null;

    /// <summary>Finds its holds among those that are there again. Kinds that hold nothing have none to find.</summary>
    /// <param name="snapshot">What <see cref="Save"/> wrote.</param>
    public virtual void Relink(EntrySnapshot? snapshot) => SnapshotFormat.Require(FirstHeld is null, "An object of a kind that holds nothing holds something.");

    /// <summary>Marks the entry destroyed during release. The caller has already decremented what it held.</summary>
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

    /// <summary>Who holds it, latest first.</summary>
    public IEnumerable<Hold> Holders()
    {
        for (var hold = FirstHolder; hold is not null; hold = hold.NextHolder)
        {
            yield return hold;
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
