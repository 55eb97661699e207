using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Objects.Viommus;

/// <summary>vIOMMUs. A vIOMMU's grain has its vDevices and hardware queues as parts.</summary>
internal sealed class ViommuKind : GrainKind
{
    public static readonly ViommuKind Instance = new();

    public override ObjectType Type => ObjectType.Viommu;

    public override IObjectGrain FindGrain(IGrainFactory factory, string key) => factory.GetGrain<IViommuGrain>(key);

    public override ObjectBuild BuildOf(ObjectEntry entry) => new ViommuBuild(((ViommuEntry)entry).Iommu);

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => ViommuEntry.Restore(context, id, serial, snapshot);

    public override async ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry)
    {
        var viommu = (ViommuEntry)entry;
        if (viommu.Mmap is { } mmap)
        {
            scope.Context.Shared<MmapOffsets>().Free(mmap);
        }

        await scope.Grains.DropAsync(viommu.Hwpt);
    }

    public override ObjectState Describe(ObjectEntry entry) => Complete(entry, new ViommuState());

    public override ObjectState Complete(ObjectEntry entry, ObjectState state)
    {
        var viommu = (ViommuEntry)entry;
        return (ViommuState)state with { Type = viommu.ViommuType, Hwpt = viommu.Hwpt.Id, Iommu = viommu.Iommu, MmapOffset = viommu.Mmap?.Start ?? 0 };
    }

    public override string Summarize(ObjectEntry entry, ObjectState state)
    {
        var viommu = (ViommuState)state;
        return $"nests on HWPT {viommu.Hwpt}, {Format.Count(viommu.Vdevices, "vDevice")}{(viommu.HwQueues == 0 ? "" : $", {Format.Count(viommu.HwQueues, "HW queue")}")}";
    }

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state)
    {
        var viommu = (ViommuState)state;
        return
        [
            new("nests on", $"HWPT {viommu.Hwpt}"),
            new("kind", $"0x{(uint)viommu.Type:X}"),
            new("IOMMU", viommu.Iommu),
            new("vDevices", Format.Count(viommu.Vdevices)),
            new("HW queues", Format.Count(viommu.HwQueues)),
            new("pages mapped at", viommu.MmapOffset == 0 ? "nowhere" : $"offset 0x{viommu.MmapOffset:X}"),
        ];
    }
}
