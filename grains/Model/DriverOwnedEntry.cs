using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Model;

// An object that a driver has made and not an ioctl: a device or an access. Its driver holds it for as long as it uses it, so that DESTROY
// answers EBUSY. Nothing else can hold it, so that the driver can end it at any time.

/// <summary>An object that a driver has made.</summary>
internal abstract class DriverOwnedEntry(ObjectId id, ObjectKind kind, long serial) : ObjectEntry(id, kind, serial)
{
    public override bool IsLeaf => true;

    /// <summary>The driver's hold.</summary>
    public Hold? DriverHold { get; set; }

    /// <summary>What ends with it though it holds it not, and is held by nothing; null for nothing.</summary>
    public virtual ObjectEntry? Companion => null;

    /// <summary>Finds the driver's hold, the only one that there is.</summary>
    public override void Relink(EntrySnapshot? snapshot)
    {
        SnapshotFormat.Require(FirstHolder is { NextHolder: null }, "An object that a driver made must have its driver as its only holder.");
        DriverHold = FirstHolder;
    }

    /// <summary>The driver's name in a sentence: a driver of a program, or the object that stands for one.</summary>
    public string MadeBy => DriverHold?.Owner switch
    {
        ContextReference reference => $"driver '{reference.Name}'",
        ObjectEntry other => $"{other.Ref}",
        _ => "",
    };

    /// <summary>The driver, for people.</summary>
    public string DriverName => DriverHold is { } hold ? hold.Owner.Describe(hold).ToString() : "";
}
