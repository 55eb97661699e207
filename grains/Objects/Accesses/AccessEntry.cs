using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;

namespace IommuFd.Grains.Objects.Accesses;

// An access in its context's table: whose it is, and which IOAS it is attached to. It has no grain: its pins are part of what its IOAS
// maps, and go in the same step when that is unmapped.

/// <summary>A driver's access to what an IOAS maps.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="needsPinPages">Whether it pins pages.</param>
internal sealed class AccessEntry(ObjectId id, long serial, bool needsPinPages) : DriverOwnedEntry(id, AccessKind.Instance, serial)
{
    private Hold? _attachment;
    private uint _nextPin;

    public bool NeedsPinPages { get; } = needsPinPages;

    /// <summary>Whether what it pins can't be unmapped: its driver is an object of the context, which nobody asks to drop its pins.</summary>
    public bool LocksAreas => DriverHold?.Owner is ObjectEntry;

    /// <summary>The IOAS that it is attached to; null for none.</summary>
    public IoasEntry? Ioas => (IoasEntry?)_attachment?.Target;

    /// <summary>The number that the next pin gets. Numbers are not used again, not even for another IOAS.</summary>
    public uint NextPin => _nextPin;

    /// <summary>Notes that the number was given to a pin.</summary>
    public void TakePin() => _nextPin++;

    /// <summary>Holds an IOAS and drops the hold on the previous one; null only drops.</summary>
    public void Attach(IoasEntry? ioas)
    {
        var before = _attachment;
        _attachment = ioas is null ? null : Hold.RefToUsers(this, ioas, "accessing");
        before?.Drop();
    }

    public static AccessEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot)
    {
        var access = SnapshotFormat.Expect<AccessEntrySnapshot>(snapshot);
        return new AccessEntry(id, serial, access.NeedsPinPages) { _nextPin = access.NextPin };
    }

    public override EntrySnapshot Save() => new AccessEntrySnapshot(NeedsPinPages, _nextPin);

    public override void Relink(EntrySnapshot? snapshot)
    {
        base.Relink(snapshot);
        SnapshotFormat.Require(FirstHeld is null or { NextHeld: null, Target: IoasEntry }, "An access holds something else than one IOAS.");
        _attachment = FirstHeld;
    }

    public AccessState Describe() => new(DriverName, Ioas?.Id ?? default, NeedsPinPages, 0, 0);
}

/// <summary>A saved access of a context's table.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.AccessEntrySnapshot")]
internal sealed record AccessEntrySnapshot([property: Id(0)] bool NeedsPinPages, [property: Id(1)] uint NextPin) : EntrySnapshot;
