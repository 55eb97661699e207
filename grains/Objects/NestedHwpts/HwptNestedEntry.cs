using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.NestedHwpts;

/// <summary>A nested HWPT in its context's table: a guest's page table, whose addresses a paging HWPT translates further.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="parent">The paging HWPT.</param>
/// <param name="viommu">The vIOMMU that it was made on; null where it was made on its parent.</param>
/// <param name="iommu">The IOMMU whose page table it is.</param>
/// <param name="flags">What it was made for.</param>
/// <param name="config">What it is made of.</param>
internal sealed class HwptNestedEntry(
    ObjectId id, long serial, HwptPagingEntry parent, ViommuEntry? viommu, string iommu, IommuHwptAllocFlags flags, byte[] config)
    : HwptEntry(id, HwptNestedKind.Instance, serial, iommu, flags)
{
    public override HwptPagingEntry Paging { get; } = parent;

    public ViommuEntry? Viommu { get; } = viommu;

    public override ObjectId ViommuId => Viommu?.Id ?? default;

    /// <summary>What it holds for as long as it lives: its vIOMMU, which holds the parent, or the parent itself.</summary>
    public ObjectEntry Base => (ObjectEntry?)Viommu ?? Paging;

    public byte[] Config { get; } = config;

    public static HwptNestedEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot)
    {
        var saved = SnapshotFormat.Expect<HwptNestedEntrySnapshot>(snapshot);
        var viommu = context.Objects.Find<ViommuEntry>(saved.Base);
        var parent = viommu?.Hwpt ?? context.Objects.Find<HwptPagingEntry>(saved.Base) ?? throw SnapshotFormat.Of($"Nested HWPT {id} is based on {saved.Base}, which is no older HWPT or vIOMMU.");
        SnapshotFormat.Require(
            IommuDriver.FindInstance(saved.Iommu) is not null && saved.Config is { Length: <= IommuDriver.MaxConfigBytes }, "A nested HWPT is not one that could have been made.");
        return new HwptNestedEntry(id, serial, parent, viommu, saved.Iommu, saved.Flags, saved.Config);
    }

    public override EntrySnapshot Save() => new HwptNestedEntrySnapshot { Base = Base.Id.Value, Iommu = Iommu, Flags = Flags, Config = Config };

    public override void Relink(EntrySnapshot? snapshot) => Relink(Base);

    public NestedHwptState Describe() => new()
    {
        Parent = Paging.Id,
        Viommu = Viommu?.Id ?? default,
        FaultQueue = FaultQueue?.Id ?? default,
        Flags = Flags,
        Iommu = Iommu,
    };
}

/// <summary>A saved nested HWPT of a context's table.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.HwptNestedEntrySnapshot")]
internal sealed record HwptNestedEntrySnapshot : EntrySnapshot
{
    /// <summary>The vIOMMU, or the paging HWPT.</summary>
    [Id(0)]
    public uint Base { get; init; }

    [Id(1)]
    public required string Iommu { get; init; }

    [Id(2)]
    public IommuHwptAllocFlags Flags { get; init; }

    [Id(3)]
    public required byte[] Config { get; init; }
}
