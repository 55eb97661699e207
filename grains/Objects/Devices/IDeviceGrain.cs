using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>A bound device: the emulated hardware. What it is attached to stands in its context's table.</summary>
[Alias("IommuFd.IDeviceGrain")]
internal interface IDeviceGrain : IObjectGrain
{
    /// <summary>What the IOMMU in front of the device says of itself (the <c>hw_info</c> operation).</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="type">The kind of data that is asked for, or <see cref="IommuHwInfoType.Default"/>.</param>
    /// <returns>The data; EOPNOTSUPP where the IOMMU has none of that kind.</returns>
    [Alias("HwInfo")]
    ValueTask<HwInfoReply> HwInfoAsync(ObjectStamp stamp, IommuHwInfoType type);

    /// <summary><c>IOMMU_TEST_OP_DEV_CHECK_CACHE</c>: whether an entry of the device's cache is what it should be.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="expected">What it should have.</param>
    /// <returns>EINVAL where it has something else, or there is no such entry; the value is what it has.</returns>
    [Alias("CheckCache")]
    ValueTask<ObjectReply> CheckCacheAsync(ObjectStamp stamp, uint entry, uint expected);

    /// <summary>Invalidates entries of the device's cache.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="entries">Which entries, one bit each.</param>
    /// <returns>The errno.</returns>
    [Alias("InvalidateCache")]
    ValueTask<ObjectReply> InvalidateCacheAsync(ObjectStamp stamp, uint entries);
}

/// <summary>What a device's grain is built of.</summary>
/// <param name="Device">The device, as it was bound.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DeviceBuild")]
internal sealed record DeviceBuild([property: Id(0)] DeviceDescription Device) : ObjectBuild;

/// <summary>What the IOMMU in front of a device says of itself.</summary>
/// <param name="Errno">0; EOPNOTSUPP where it has no data of the kind.</param>
/// <param name="Type">The kind of data.</param>
/// <param name="Data">The data, as the ABI has it.</param>
/// <param name="Capabilities">What it can do.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.HwInfoReply")]
internal readonly record struct HwInfoReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] IommuHwInfoType Type,
    [property: Id(2)] byte[] Data,
    [property: Id(3)] IommuHwCapabilities Capabilities,
    [property: Id(4)] IoctlDiagnostic? Diagnostic) : IObjectReply<HwInfoReply>
{
    int? IObjectReply<HwInfoReply>.Size => null;

    PinTally? IObjectReply<HwInfoReply>.Pinned => null;

    /// <inheritdoc/>
    public static HwInfoReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, default, [], default, diagnostic);
}
