using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>IO address spaces.</summary>
internal sealed class IoasKind : GrainKind
{
    public static readonly IoasKind Instance = new();

    public override ObjectType Type => ObjectType.Ioas;

    public override DrawingStyle Style => DrawingStyle.Memory;

    public override IObjectGrain FindGrain(IGrainFactory factory, string key) => factory.GetGrain<IIoasGrain>(key);

    public override IObjectGrain NewKept(ObjectId id) => new IoasGrain(null) { KeptId = id };

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => new IoasEntry(id, serial);

    public override ObjectState Describe(ObjectEntry entry) => IoasInspector.Show(new IoasModel(), default);

    /// <summary>Which devices are attached to its domains stands in the context's snapshot, as their holds.</summary>
    public override async ValueTask RestoreHoldersAsync(IoctlScope scope, ObjectEntry entry)
    {
        var joins = new List<IoasChange>();
        foreach (var hwpt in entry.Holders().Select(hold => hold.Owner).OfType<HwptPagingEntry>())
        {
            joins.AddRange(hwpt.Holders().Where(hold => hold.Owner is DriverOwnedEntry).Select(_ => new JoinDomain(hwpt.Id)));
        }

        var joined = await IoasHandlers.ChangeAsync(scope, (IoasEntry)entry, joins);
        SnapshotFormat.Require(joined.Errno != Errno.ENOENT, "A device is attached to a HWPT that has no domain.");
    }

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var ioas = (IoasState)state;
        return $"{Format.Count(ioas.AreaCount, "area")}, {Format.Bytes(ioas.FreeBytes)} free"
            + $"{(ioas.HugePages ? "" : ", huge pages off")}{(ioas.Pins == 0 ? "" : $", {Format.Count(ioas.Pins, "pin")}")}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var ioas = (IoasState)state;
        return
        [
            new("areas", Format.Count(ioas.AreaCount)),
            new("free", Format.Bytes(ioas.FreeBytes)),
            new("largest hole", Format.Bytes(ioas.LargestHole)),
            new("IOVA alignment", Format.Count((long)ioas.Alignment, "byte")),
            new("huge pages", ioas.HugePages ? "on" : "off"),
            new("page tables", Format.Count(ioas.Domains)),
            new("accesses", Format.Count(ioas.Accesses)),
            new("pins", Format.Count(ioas.Pins)),
            new("allowed", Ranges(ioas.Allowed, "everything not reserved")),
            new("reserved", Ranges(ioas.Reserved, "nothing")),
        ];
    }
}
