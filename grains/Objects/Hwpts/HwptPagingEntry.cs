using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Hwpts;

// A paging HWPT in its context's table: what it is and which IOAS it mirrors. It has no grain: its domain lives in the IOAS's, with
// which it changes in one step.

/// <summary>A hardware page table that mirrors an IOAS.</summary>
/// <param name="id">Its id.</param>
/// <param name="serial">Its serial number.</param>
/// <param name="ioas">The IOAS that it mirrors, and holds once it is built.</param>
/// <param name="iommu">The IOMMU whose page table it is.</param>
/// <param name="flags">What it was made for.</param>
/// <param name="isAuto">Whether attaching a device has made it; then it goes with its last device.</param>
internal sealed class HwptPagingEntry(ObjectId id, long serial, IoasEntry ioas, string iommu, IommuHwptAllocFlags flags, bool isAuto)
    : HwptEntry(id, HwptPagingKind.Instance, serial, iommu, flags)
{
    public new IoasEntry Ioas { get; } = ioas;

    public bool IsAuto { get; } = isAuto;

    public override HwptPagingEntry Paging => this;

    public static HwptPagingEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot)
    {
        var saved = SnapshotFormat.Expect<HwptEntrySnapshot>(snapshot);
        var ioas = context.Objects.Find<IoasEntry>(saved.Ioas) ?? throw SnapshotFormat.Of($"HWPT {id} mirrors {saved.Ioas}, which is not an older IOAS.");
        SnapshotFormat.Require(IommuDriver.FindInstance(saved.Iommu) is not null, "A HWPT belongs to an unknown IOMMU.");
        var hwpt = new HwptPagingEntry(id, serial, ioas, saved.Iommu, saved.Flags, saved.IsAuto);
        if (hwpt.IsAuto)
        {
            ioas.AddAuto(hwpt);
        }

        return hwpt;
    }

    public override EntrySnapshot Save() => new HwptEntrySnapshot { Ioas = Ioas.Id.Value, Iommu = Iommu, Flags = Flags, IsAuto = IsAuto };

    public override void Relink(EntrySnapshot? snapshot) => Relink(Ioas);

    public HwptState Describe() => new() { Ioas = Ioas.Id, IsAuto = IsAuto, Flags = Flags, Iommu = Iommu, FaultQueue = FaultQueue?.Id ?? default };
}

/// <summary>A saved paging HWPT of a context's table.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.HwptEntrySnapshot")]
internal sealed record HwptEntrySnapshot : EntrySnapshot
{
    [Id(0)]
    public uint Ioas { get; init; }

    [Id(1)]
    public required string Iommu { get; init; }

    [Id(2)]
    public IommuHwptAllocFlags Flags { get; init; }

    [Id(3)]
    public bool IsAuto { get; init; }
}
