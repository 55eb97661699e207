using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Model;

// What the kernel's iommufd_object_ops is to its objects, and all that people see of them: whatever differs from kind to kind is asked
// of the entry's kind, so that adding a kind is a folder with its classes and a row in ObjectType. Kinds are stateless; ObjectKinds finds
// them. What needs grains is the GrainKind's.

/// <summary>A kind of object, as the table and those who read it know it.</summary>
internal abstract class ObjectKind
{
    /// <summary>The row in <see cref="ObjectType"/>, which has the number and the label.</summary>
    public abstract ObjectType Type { get; }

    /// <summary>How a driver ends an object that it made; null for kinds that ioctls make.</summary>
    public virtual BusyStepKind? EndedByDriver => null;

    /// <summary>
    /// Restores an entry. Entries are restored in the order in which they were made, so that what this one refers to is there, and what
    /// has an order gets it. Holds come later: <see cref="ObjectEntry.Relink"/>.
    /// </summary>
    /// <param name="context">The context.</param>
    /// <param name="id">The entry's id.</param>
    /// <param name="serial">Its serial number.</param>
    /// <param name="snapshot">What <see cref="ObjectEntry.Save"/> wrote.</param>
    /// <exception cref="System.IO.InvalidDataException">That makes no sense.</exception>
    public abstract ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot);

    /// <summary>What the context knows of an object: all of it where it has no grain, else what it has before its grain is first called.</summary>
    public abstract ObjectState Describe(ObjectEntry entry);

    /// <summary>How an object of this kind is drawn.</summary>
    public virtual DrawingStyle Style => DrawingStyle.Other;

    /// <summary>An object's state in one line, for lists of objects.</summary>
    public abstract string Summarize(ObjectEntry entry, ObjectState state);

    /// <summary>All that there is to say to people about an object's state.</summary>
    public abstract ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state);

    /// <summary>How an object of this kind stops holding another: the one step by which a person can free what it holds.</summary>
    /// <param name="holder">The object of this kind.</param>
    /// <param name="hold">What it holds, and why.</param>
    public virtual HoldRelease ReleaseOf(ObjectEntry holder, Hold hold) => HoldRelease.ByDestroying(holder);

    /// <summary>Whether an object goes by itself with its last holder.</summary>
    /// <param name="entry">The object of this kind.</param>
    /// <param name="last">The holder that drops the last hold.</param>
    public virtual bool GoesWith(ObjectEntry entry, HoldOwner last) => false;

    /// <summary>Ranges, for people. An inspection lists no more than the first ones.</summary>
    /// <param name="ranges">The ranges.</param>
    /// <param name="none">What is said where there are none.</param>
    protected static string Ranges(IovaRange[] ranges, string none)
        => ranges.Length == 0 ? none : $"{string.Join(", ", ranges)}{(ranges.Length < IoctlLimits.MaxListed ? "" : ", …")}";
}
