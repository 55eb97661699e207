using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.NestedHwpts;

/// <summary>Nested HWPTs. Each has a grain of its own, with what the hardware caches of the guest's page table.</summary>
internal sealed class HwptNestedKind : GrainKind
{
    public static readonly HwptNestedKind Instance = new();

    public override ObjectType Type => ObjectType.HwptNested;

    public override DrawingStyle Style => DrawingStyle.PageTable;

    public override IObjectGrain FindGrain(IGrainFactory factory, string key) => factory.GetGrain<INestedHwptGrain>(key);

    public override ObjectBuild BuildOf(ObjectEntry entry) => new NestedHwptBuild(((HwptNestedEntry)entry).Iommu, ((HwptNestedEntry)entry).Config);

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => HwptNestedEntry.Restore(context, id, serial, snapshot);

    public override async ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry)
    {
        var hwpt = (HwptNestedEntry)entry;
        await HwptHandlers.StopReportingAsync(scope, hwpt);
        await scope.Grains.DropAsync(hwpt.Base);
    }

    public override ObjectState Describe(ObjectEntry entry) => ((HwptNestedEntry)entry).Describe();

    public override ObjectState Complete(ObjectEntry entry, ObjectState state)
        => ((HwptNestedEntry)entry).Describe() with { Invalidations = ((NestedHwptState)state).Invalidations };

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var hwpt = (NestedHwptState)state;
        return $"nests on HWPT {hwpt.Parent}{(hwpt.Viommu == default ? "" : $" for vIOMMU {hwpt.Viommu}")}"
            + $"{(hwpt.Flags == IommuHwptAllocFlags.None ? "" : $", {hwpt.Flags}")}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var hwpt = (NestedHwptState)state;
        return
        [
            new("nests on", $"HWPT {hwpt.Parent}"),
            new("vIOMMU", hwpt.Viommu == default ? "none" : $"vIOMMU {hwpt.Viommu}"),
            new("flags", hwpt.Flags == IommuHwptAllocFlags.None ? "none" : $"{hwpt.Flags}"),
            new("IOMMU", hwpt.Iommu),
            new("page faults go to", hwpt.FaultQueue == default ? "nothing" : $"fault queue {hwpt.FaultQueue}"),
            new("invalidations", Format.Count(hwpt.Invalidations)),
        ];
    }
}
