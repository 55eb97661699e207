using System.Numerics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

// What an IOMMU driver offers iommufd: the kernel's iommu_ops. A driver is stateless. What it creates has the state: a domain in the IOAS
// that it mirrors, a device's hardware in the device. To add an emulated IOMMU, add a class here and name it in Drivers.

/// <summary>An emulated IOMMU driver.</summary>
internal abstract class IommuDriver
{
    private static readonly IommuDriver[] Drivers = [new SelftestIommu(), new PciIommu()];

    /// <summary>The name that a <see cref="DeviceDescription.Iommu"/> gives.</summary>
    public abstract string Name { get; }

    /// <summary>Whether devices behind it are cache coherent (<c>IOMMU_CAP_CACHE_COHERENCY</c>). Only such devices can be bound.</summary>
    public virtual bool IsCacheCoherent(DeviceDescription device) => true;

    /// <summary>Whether it tracks what a device writes (<c>IOMMU_CAP_DIRTY_TRACKING</c>).</summary>
    public virtual bool TracksDirty(DeviceDescription device) => device.TracksDirtyPages;

    /// <summary>IOVAs that can't be mapped while a device is attached (<c>get_resv_regions</c>).</summary>
    public virtual IovaRange[] ReservedRegions(DeviceDescription device) => device.ReservedRegions;

    /// <summary>Bits of a device's PASIDs (<c>max_pasids</c>); 0 if it has none.</summary>
    public virtual int PasidWidth(DeviceDescription device) => device.PasidWidth;

    /// <summary>Whether page tables can nest on the nest parents that it allocates (<c>domain_alloc_nested</c>).</summary>
    public virtual bool CanNest => false;

    /// <summary>Allocates a domain (<c>domain_alloc_paging_flags</c>); EOPNOTSUPP if it supports none like that.</summary>
    public abstract Errno AllocateDomain(DeviceDescription device, IommuHwptAllocFlags flags, HwptUserData? data, out IommuDomain? domain);

    /// <summary>Restores a domain of this driver, without the state that <see cref="IommuDomain.Load"/> adds.</summary>
    public virtual IommuDomain RestoreDomain(DomainSnapshot snapshot)
    {
        SnapshotFormat.Require(
            snapshot.ApertureStart <= snapshot.ApertureLast && BitOperations.IsPow2(snapshot.PageSize) && snapshot.PageSize <= PageSizes.Page,
            "A domain has an invalid aperture or page size.");
        return new IommuDomain(snapshot.Iommu, new IovaRange(snapshot.ApertureStart, snapshot.ApertureLast), snapshot.PageSize, snapshot.CanTrackDirty);
    }

    /// <summary>Creates a device's hardware, in its initial state.</summary>
    public abstract EmulatedDevice CreateDevice(DeviceDescription device);

    /// <summary>Finds a driver by its name.</summary>
    public static IommuDriver? Find(string name) => Array.Find(Drivers, driver => driver.Name == name);

    /// <summary>The driver of a bound device, which always has one.</summary>
    public static IommuDriver Of(DeviceDescription device) => Find(device.Iommu) ?? throw new InvalidOperationException($"No IOMMU driver is named '{device.Iommu}'.");

    /// <summary>The capabilities that the IOMMU reports for a device.</summary>
    public IommuHwCapabilities Capabilities(DeviceDescription device)
        => (TracksDirty(device) ? IommuHwCapabilities.DirtyTracking : 0) | IommuHwCapabilities.PciAtsNotSupported;
}

/// <summary>The hardware of one device, as its IOMMU's driver sees it.</summary>
internal abstract class EmulatedDevice
{
    /// <summary>What the IOMMU reports about itself (<c>hw_info</c>); EOPNOTSUPP if it has no data of the type.</summary>
    /// <param name="type">In: the type asked for, or Default. Out: the type of the data.</param>
    /// <param name="data">The data.</param>
    public abstract Errno HwInfo(ref IommuHwInfoType type, out byte[] data);

    /// <summary>The entries of the device's cache, for those that have one.</summary>
    public virtual ReadOnlySpan<uint> Cache => [];

    /// <summary>Saves the state; null for the initial one.</summary>
    public virtual HardwareSnapshot? Save() => null;

    /// <summary>Loads the saved state into new hardware.</summary>
    public virtual void Load(HardwareSnapshot snapshot) => throw SnapshotFormat.Of("Stateless hardware has a saved state.");
}

/// <summary>The saved state of one device's hardware. Each IOMMU whose devices have state derives a record.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.HardwareSnapshot")]
internal abstract record HardwareSnapshot;
