using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Model;

// Saving and restoring a context: the references, the table's entries, then the holds from the oldest on; last, each entry finds its own holds.

internal sealed partial class ContextModel
{
    /// <summary>Saves the context, without the state that its objects' grains have.</summary>
    public ContextSnapshot Save() => new()
    {
        Mode = Mode,
        OpenedTicks = OpenedTicks,
        RlimitMode = RlimitMode,
        TempMemoryLimit = TempMemoryLimit,
        CompatIoas = CompatIoas?.Id.Value ?? 0,
        LastNumber = _lastNumber,
        References = [.. _references.Values.Select(reference => reference.Save())],
        Entries = Objects.Save(),
        Holds = SaveHolds(),
    };

    /// <summary>Restores a context.</summary>
    /// <param name="snapshot">What <see cref="Save"/> wrote.</param>
    /// <param name="kinds">The kinds of object that there are.</param>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static ContextModel Restore(ContextSnapshot snapshot, ObjectKinds kinds)
    {
        SnapshotFormat.Require(Enum.IsDefined(snapshot.Mode), "The mode is unknown.");
        var context = new ContextModel
        {
            Mode = snapshot.Mode,
            OpenedTicks = snapshot.OpenedTicks,
            RlimitMode = snapshot.RlimitMode,
            TempMemoryLimit = snapshot.TempMemoryLimit,
            _lastNumber = snapshot.LastNumber,
        };
        foreach (var reference in SnapshotFormat.Expect<ReferenceSnapshot[]>(snapshot.References))
        {
            context.Restore(SnapshotFormat.Expect<ReferenceSnapshot>(reference));
        }

        var entries = context.Objects.Restore(SnapshotFormat.Expect<EntriesSnapshot>(snapshot.Entries), context, kinds);
        context.Restore(snapshot.Holds);
        entries.ForEach(made => made.Entry.Relink(made.Data));
        if (snapshot.CompatIoas != 0)
        {
            context.CompatIoas = context.Objects.Find(snapshot.CompatIoas, ObjectType.Ioas) ?? throw SnapshotFormat.Of("The IOAS for VFIO compatibility is not an IOAS.");
        }

        return context;
    }

    private void Restore(ReferenceSnapshot saved)
    {
        SnapshotFormat.Require(
            saved.Id > 0 && saved.Id <= _lastNumber && Enum.IsDefined(saved.Kind) && IsName(saved.Name) && FindSession(saved.Session) is null && !_references.ContainsKey(saved.Id),
            "A reference has a number, a name, a kind or a session that it can't have.");
        var id = new ReferenceId(saved.Id);
        Add(saved.Replies is not null || saved.Lanes is not null
            ? new ContextReference(id, saved.Kind, saved.Name, saved.Session) { Replies = ReplayLanes.Restore(saved.Replies, saved.Lanes) }
            : new ContextReference(id, saved.Kind, saved.Name, saved.Session));
    }

    // An owner is twice its number, and 1 more for a reference.
    private HoldsSnapshot? SaveHolds()
    {
        var (owners, targets, ids, whys, texts) = (new ColumnWriter(), new ColumnWriter(), new ColumnWriter(), new ColumnWriter(), new Dictionary<string, int>());
        foreach (var hold in HoldTopology.OldestFirst(Objects.BySerial(), _references.Values))
        {
            owners.Add(hold.Owner is ContextReference reference ? ((ulong)reference.Id.Value * 2) + 1 : (ulong)((ObjectEntry)hold.Owner).Id.Value * 2);
            targets.Add(hold.Target.Id.Value);
            ids.Add((ulong)hold.Id.Value);
            texts.TryAdd(hold.Why, texts.Count);
            whys.Add((ulong)texts[hold.Why]);
        }

        return texts.Count == 0
            ? null
            : new HoldsSnapshot { Owners = owners.ToColumn(), Targets = targets.ToColumn(), Ids = ids.ToColumn(), Whys = whys.ToColumn(), Texts = [.. texts.Keys] };
    }

    private void Restore(HoldsSnapshot? saved)
    {
        saved ??= new HoldsSnapshot();
        var (owners, targets, ids, whys) = (saved.Owners.Read(), saved.Targets.Read(), saved.Ids.Read(), saved.Whys.Read());
        while (owners.TryNext(out var number))
        {
            var owner = FindOwner(number) ?? throw SnapshotFormat.Of("A hold has no owner.");
            var target = Objects.Find(targets.Next<uint>()) ?? throw SnapshotFormat.Of("A hold has no target.");
            var why = whys.Next<int>();
            SnapshotFormat.Require(why < saved.Texts?.Length && saved.Texts[why] is not null, "A hold does not say why.");
            var hold = Hold.RefToUsers(owner, target, saved.Texts[why], new HoldId(ids.Next<long>()));
            if (hold.Id != default)
            {
                SnapshotFormat.Require(
                    hold.Id.Value <= _lastNumber && !target.IsLeaf && owner is ContextReference { Kind: ReferenceKind.Driver } && _driverHolds.TryAdd(hold.Id.Value, hold),
                    "A driver has a hold that it can't have.");
            }
        }

        targets.End();
        ids.End();
        whys.End();
    }

    private HoldOwner? FindOwner(ulong number)
        => (number & 1) != 0 ? _references.GetValueOrDefault((long)(number >> 1)) : Objects.Find((uint)Math.Min(number >> 1, uint.MaxValue));
}
