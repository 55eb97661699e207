namespace IommuFd.Grains.Model;

// All holds in one order, oldest first, such that taking them in that order restores every list of holds as it is. Each hold stands in two lists,
// its owner's and its target's, and each list has its holds in the order of time. So time is such an order, and every other that agrees with all lists
// does as well: a hold comes when it is the oldest that is left in both of its lists.

/// <summary>Puts holds into an order that restores their lists.</summary>
internal sealed class HoldTopology
{
    // The oldest hold that is left of each list; those of objects by their ids.
    private readonly Dictionary<ContextReference, Hold> _heldByReferences = [];
    private readonly Hold?[] _heldByObjects;
    private readonly Hold?[] _holders;
    private readonly Stack<Hold> _waiting = [];
    private long _left;

    private HoldTopology(uint lastId)
    {
        _heldByObjects = new Hold?[lastId + 1];
        _holders = new Hold?[lastId + 1];
    }

    /// <summary>The holds, oldest first.</summary>
    /// <param name="objects">All objects.</param>
    /// <param name="references">All references.</param>
    public static IEnumerable<Hold> OldestFirst(IReadOnlyCollection<ObjectEntry> objects, IReadOnlyCollection<ContextReference> references)
    {
        var order = new HoldTopology(objects.Count == 0 ? 0 : objects.Max(entry => entry.Id.Value));
        foreach (var reference in references)
        {
            order.SetHeld(reference, OldestHeld(reference));
        }

        foreach (var entry in objects)
        {
            order.SetHeld(entry, OldestHeld(entry));
            order._holders[entry.Id.Value] = OldestHolder(entry);
            order._left += entry.HeldCount;
        }

        order._left += references.Sum(reference => (long)reference.HeldCount);
        return references.Concat<HoldOwner>(objects).Where(owner => owner.FirstHeld is not null).SelectMany(order.Take);
    }

    // Everything that an owner holds, each with what must come before.
    private IEnumerable<Hold> Take(HoldOwner owner)
    {
        while (Held(owner) is { } first)
        {
            _waiting.Push(first);
            while (_waiting.TryPeek(out var hold))
            {
                var (held, holder) = (Held(hold.Owner), _holders[hold.Target.Id.Value]);
                if (held == hold && holder == hold)
                {
                    _waiting.Pop();
                    SetHeld(hold.Owner, hold.PreviousHeld);
                    _holders[hold.Target.Id.Value] = hold.PreviousHolder;
                    _left--;
                    yield return hold;
                }
                else if (_waiting.Count <= _left && (held == hold ? holder : held) is { } older)
                {
                    _waiting.Push(older);
                }
                else
                {
                    throw new InvalidOperationException($"The hold of {hold.Target.Ref}, {hold.Why}, is in no order with others.");
                }
            }
        }
    }

    private Hold? Held(HoldOwner owner)
        => owner is ObjectEntry entry ? _heldByObjects[entry.Id.Value] : _heldByReferences.GetValueOrDefault((ContextReference)owner);

    private void SetHeld(HoldOwner owner, Hold? oldest)
    {
        if (owner is ObjectEntry entry)
        {
            _heldByObjects[entry.Id.Value] = oldest;
        }
        else if (oldest is not null)
        {
            _heldByReferences[(ContextReference)owner] = oldest;
        }
        else
        {
            _heldByReferences.Remove((ContextReference)owner);
        }
    }

    private static Hold? OldestHeld(HoldOwner owner)
    {
        var oldest = owner.FirstHeld;
        while (oldest?.NextHeld is { } next)
        {
            oldest = next;
        }

        return oldest;
    }

    private static Hold? OldestHolder(ObjectEntry entry)
    {
        var oldest = entry.FirstHolder;
        while (oldest?.NextHolder is { } next)
        {
            oldest = next;
        }

        return oldest;
    }
}
