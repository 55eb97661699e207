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
    /// <summary>Bytes of what a nested page table or a vIOMMU is made of.</summary>
    public const int MaxConfigBytes = 64;

    private static readonly IommuDriver[] Drivers = [new SelftestIommu(), new PciIommu(), new VirtualIommu()];

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

    /// <summary>
    /// Which IOMMU a device is behind: devices with the same answer share page tables and vIOMMUs, others don't
    /// (<c>iommu_get_iommu_dev</c>).
    /// </summary>
    public virtual string InstanceOf(DeviceDescription device) => Name;

    /// <summary>Whether page tables can nest on the nest parents that it allocates for a device (<c>domain_alloc_nested</c>).</summary>
    public virtual bool CanNest(DeviceDescription device) => false;

    /// <summary>Checks what a nested page table is to be made of (<c>domain_alloc_nested</c>, <c>alloc_domain_nested</c>).</summary>
    /// <param name="data">The caller's data.</param>
    /// <param name="onViommu">Whether it is made on a vIOMMU.</param>
    /// <param name="config">What it is made of, in the driver's own format: at most <see cref="MaxConfigBytes"/>.</param>
    public virtual Errno CheckNested(HwptUserData data, bool onViommu, out byte[] config)
    {
        config = [];
        return Errno.EOPNOTSUPP;
    }

    /// <summary>Makes a nested page table of what <see cref="CheckNested"/> has found good.</summary>
    public virtual NestedDomain CreateNested(byte[] config) => throw SnapshotFormat.Of($"The IOMMU '{Name}' has no nested page tables.");

    /// <summary>Whether it has vIOMMUs of a kind for a device (<c>get_viommu_size</c>).</summary>
    public virtual bool HasViommu(DeviceDescription device, IommuViommuType type) => false;

    /// <summary>Checks what a vIOMMU is to be made of (<c>viommu_init</c>).</summary>
    /// <param name="data">The caller's data; null for none.</param>
    /// <param name="length">Bytes of the data, as the argument says.</param>
    /// <param name="setup">What it is made of.</param>
    public virtual Errno InitViommu(UserBuffer? data, uint length, out ViommuSetup setup)
    {
        setup = new ViommuSetup([], 0);
        return Errno.None;
    }

    /// <summary>What the caller's data has after the vIOMMU is made; null where the driver writes nothing.</summary>
    /// <param name="setup">What the vIOMMU is made of.</param>
    /// <param name="mmapOffset">Where its pages can be mapped.</param>
    public virtual byte[]? ViommuAnswer(in ViommuSetup setup, ulong mmapOffset) => null;

    /// <summary>The hardware behind vIOMMUs.</summary>
    public virtual EmulatedViommu Viommu => throw SnapshotFormat.Of($"The IOMMU '{Name}' has no vIOMMUs.");

    /// <summary>Whether page faults of PASIDs that are attached to nothing go where those of the device do (<c>user_pasid_table</c>).</summary>
    public virtual bool HasUserPasidTable => false;

    /// <summary>
    /// Attaches a device to what is not a domain of an IOAS, or notes that it is attached to one: what <c>attach_dev</c> and
    /// <c>set_dev_pasid</c> do beyond the domain. ENOENT where the device has no vDevice on the vIOMMU.
    /// </summary>
    /// <param name="target">What it is to be attached to.</param>
    /// <param name="before">What the driver remembers; null for nothing.</param>
    /// <param name="after">What it remembers from now on, also on failure.</param>
    public virtual Errno Attach(in AttachmentTarget target, DeviceAttachment? before, out DeviceAttachment? after)
    {
        after = before;
        if (target.Pasid != 0)
        {
            return Errno.None;
        }

        if (target.Viommu == default)
        {
            after = null;
            return Errno.None;
        }

        if (target.VirtId is not { } virtId)
        {
            return Errno.ENOENT;
        }

        after = new DeviceAttachment { Viommu = target.Viommu, VirtId = virtId };
        return Errno.None;
    }

    /// <summary>Makes an event of what a device reports to its vIOMMU; null where it is no event.</summary>
    /// <param name="virtId">The device's id on the vIOMMU.</param>
    /// <param name="data">What the device reports.</param>
    /// <param name="type">The kind of queue that it goes to.</param>
    public virtual byte[]? EventOf(ulong virtId, ReadOnlySpan<byte> data, out IommuVeventqType type)
    {
        type = default;
        return null;
    }

    /// <summary>Allocates a domain (<c>domain_alloc_paging_flags</c>); EOPNOTSUPP if it supports none like that.</summary>
    public abstract Errno AllocateDomain(DeviceDescription device, IommuHwptAllocFlags flags, HwptUserData? data, out IommuDomain? domain);

    /// <summary>Restores a domain of this driver, without the state that <see cref="IommuDomain.Load"/> adds.</summary>
    public virtual IommuDomain RestoreDomain(DomainSnapshot snapshot)
    {
        SnapshotFormat.Require(
            snapshot.ApertureStart <= snapshot.ApertureLast && BitOperations.IsPow2(snapshot.PageSize) && snapshot.PageSize <= PageSizes.Page,
            "A domain has an invalid aperture or page size.");
        return CreateDomain(snapshot.Iommu, new IovaRange(snapshot.ApertureStart, snapshot.ApertureLast), snapshot.PageSize, snapshot.CanTrackDirty);
    }

    /// <summary>The sizes of pages that a domain of an instance can map, a bit each; 0 for the smallest alone.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="pageSize">The domain's smallest page.</param>
    protected virtual ulong PageSizesOf(string instance, ulong pageSize) => 0;

    /// <summary>The largest entry that a domain has of pages whose places in memory are not known: they are taken to be contiguous up to it.</summary>
    /// <param name="pageSize">The domain's smallest page.</param>
    protected virtual ulong LargestEntryOf(ulong pageSize) => pageSize;

    /// <summary>Makes a domain.</summary>
    protected IommuDomain CreateDomain(string instance, IovaRange aperture, ulong pageSize, bool tracksDirty)
        => new(instance, aperture, pageSize, tracksDirty) { PageSizeBitmap = PageSizesOf(instance, pageSize), LargestEntry = LargestEntryOf(pageSize) };

    /// <summary>Creates a device's hardware, in its initial state.</summary>
    public abstract EmulatedDevice CreateDevice(DeviceDescription device);

    /// <summary>Finds a driver by its name.</summary>
    public static IommuDriver? Find(string name) => Array.Find(Drivers, driver => driver.Name == name);

    /// <summary>The driver of an <see cref="InstanceOf"/>, which begins with the driver's name.</summary>
    public static IommuDriver? FindInstance(string? instance) => instance is null ? null : Find(instance.Split(':')[0]);

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

    /// <summary>Invalidates entries of the device's cache: those whose bits are set.</summary>
    public virtual void InvalidateCache(uint entries)
    {
    }

    /// <summary>Saves the state; null for the initial one.</summary>
    public virtual HardwareSnapshot? Save() => null;

    /// <summary>Loads the saved state into new hardware.</summary>
    public virtual void Load(HardwareSnapshot snapshot) => throw SnapshotFormat.Of("Stateless hardware has a saved state.");
}

/// <summary>The saved state of hardware: a device's, or a nested page table's. Each IOMMU that has some derives a record.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.HardwareSnapshot")]
internal abstract record HardwareSnapshot;
