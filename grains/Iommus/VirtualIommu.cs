using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

/// <summary>
/// An IOMMU whose features each device's description chooses. Guests' page tables and vIOMMUs have the formats of Arm's SMMUv3, and its
/// rules: a nested page table is made on a vIOMMU only.
/// </summary>
internal sealed class VirtualIommu : IommuDriver
{
    private const IommuHwptAllocFlags PagingFlags = IommuHwptAllocFlags.DirtyTracking | IommuHwptAllocFlags.Pasid;

    private static readonly IommuDescription Default = new();

    public override string Name => DeviceDescription.VirtualIommu;

    public override EmulatedViommu Viommu { get; } = new SmmuViommu();

    public override bool HasUserPasidTable => true;

    public override string InstanceOf(DeviceDescription device)
        => Hardware(device) is var hardware ? $"{Name}:{hardware.AddressWidth}:{hardware.PageSizes:X}{(hardware.CanNest ? ":nests" : "")}" : Name;

    public override bool HasViommu(DeviceDescription device, IommuViommuType type) => type == IommuViommuType.ArmSmmuv3 && Hardware(device).CanNest;

    public override Errno AllocateDomain(DeviceDescription device, IommuHwptAllocFlags flags, HwptUserData? data, out IommuDomain? domain)
    {
        domain = null;
        var (hardware, tracksDirty) = (Hardware(device), flags.HasFlag(IommuHwptAllocFlags.DirtyTracking));
        var known = PagingFlags | (hardware.CanNest ? IommuHwptAllocFlags.NestParent : 0);
        if ((flags & ~known) != 0 || data is not null || (tracksDirty && !TracksDirty(device)))
        {
            return Errno.EOPNOTSUPP;
        }

        var aperture = new IovaRange(0, ulong.MaxValue >> (IommuDescription.MaxAddressWidth - hardware.AddressWidth));
        domain = CreateDomain(InstanceOf(device), aperture, 1UL << BitOperations.TrailingZeroCount(hardware.PageSizes), tracksDirty);
        return Errno.None;
    }

    public override Errno CheckNested(HwptUserData data, bool onViommu, out byte[] config)
    {
        config = new byte[Unsafe.SizeOf<IommuHwptArmSmmuv3>()];
        if (data.Type != IommuHwptDataType.ArmSmmuv3 || !onViommu)
        {
            return Errno.EOPNOTSUPP;
        }

        var errno = UserData.Copy(data.Content, data.Length, config.Length, config);
        return errno != Errno.None ? errno : SmmuViommu.IsStreamTableEntry(UapiStruct.Read<IommuHwptArmSmmuv3>(config)) ? Errno.None : Errno.EIO;
    }

    public override NestedDomain CreateNested(byte[] config) => new SmmuNestedDomain();

    public override byte[]? EventOf(ulong virtId, ReadOnlySpan<byte> data, out IommuVeventqType type)
    {
        type = IommuVeventqType.ArmSmmuv3;
        if (data.Length != Unsafe.SizeOf<IommuVeventArmSmmuv3>())
        {
            return null;
        }

        // The guest's stream id stands in the high half of the first word.
        var record = MemoryMarshal.Read<IommuVeventArmSmmuv3>(data);
        return UapiStruct.ToBytes(record with { Evt0 = (uint)record.Evt0 | (virtId << 32) });
    }

    public override EmulatedDevice CreateDevice(DeviceDescription device) => new PlainDevice();

    private static IommuDescription Hardware(DeviceDescription device) => device.IommuHardware ?? Default;

    // Invalidations are commands of the vIOMMU; a nested page table takes none itself.
    private sealed class SmmuNestedDomain : NestedDomain;
}
