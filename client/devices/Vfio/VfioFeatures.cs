using System.Runtime.CompilerServices;
using IommuFd.Devices.Pci;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>VFIO_DEVICE_FEATURE: a device exports its BARs as dma-bufs. It has no other feature: a well-formed question is answered ENOTTY, PROBE included. In the function's loop.</summary>
internal static class VfioFeatures
{
    // Ranges that one dma-buf can have.
    private const uint MaxRanges = 256;
    private const ulong PageBytes = 4096;

    private static readonly int HeaderBytes = Unsafe.SizeOf<VfioDeviceFeature>();

    public static VfioReply Run(VfioDevice device, VfioIoctl ioctl)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.Feature, out VfioDeviceFeature feature);
        if (errno != Errno.None)
        {
            return new VfioReply(errno);
        }

        var flags = (VfioFeatureFlags)feature.Flags;
        var isUnknown = (flags & ~(VfioFeatureFlags.Number | VfioFeatureFlags.Get | VfioFeatureFlags.Set | VfioFeatureFlags.Probe)) != 0;
        var isBoth = !flags.HasFlag(VfioFeatureFlags.Probe) && flags.HasFlag(VfioFeatureFlags.Get | VfioFeatureFlags.Set);
        return feature.Argsz < HeaderBytes || isUnknown || isBoth ? new VfioReply(Errno.EINVAL)
            : (VfioFeature)(flags & VfioFeatureFlags.Number) == VfioFeature.DmaBuf ? DmaBuf(device, ioctl, feature.Argsz, flags)
            : new VfioReply(Errno.ENOTTY);
    }

    private static VfioReply DmaBuf(VfioDevice device, VfioIoctl ioctl, uint argsz, VfioFeatureFlags flags)
    {
        if (flags.HasFlag(VfioFeatureFlags.Set))
        {
            return new VfioReply(Errno.EINVAL);
        }

        if (flags.HasFlag(VfioFeatureFlags.Probe))
        {
            return default;
        }

        var at = HeaderBytes + Unsafe.SizeOf<VfioDeviceFeatureDmaBuf>();
        if (!flags.HasFlag(VfioFeatureFlags.Get) || argsz < at)
        {
            return new VfioReply(Errno.EINVAL);
        }

        if (ioctl.Argument.Length < at)
        {
            return new VfioReply(Errno.EFAULT);
        }

        var wanted = UapiStruct.Read<VfioDeviceFeatureDmaBuf>(ioctl.Argument.Span[HeaderBytes..at]);
        if (wanted.NrRanges == 0 || wanted.Flags != 0)
        {
            return new VfioReply(Errno.EINVAL);
        }

        if (wanted.RegionIndex >= (uint)VfioPciRegion.Rom)
        {
            return new VfioReply(Errno.ENODEV);
        }

        if (wanted.NrRanges > MaxRanges)
        {
            return new VfioReply(Errno.ENOMEM);
        }

        var ranges = new VfioRegionDmaRange[wanted.NrRanges];
        if (ioctl.Argument.Length < at + (ranges.Length * Unsafe.SizeOf<VfioRegionDmaRange>()))
        {
            return new VfioReply(Errno.EFAULT);
        }

        for (var i = 0; i < ranges.Length; i++)
        {
            ranges[i] = UapiStruct.Read<VfioRegionDmaRange>(ioctl.Argument.Span.Slice(at + (i * Unsafe.SizeOf<VfioRegionDmaRange>()), Unsafe.SizeOf<VfioRegionDmaRange>()));
        }

        return Array.TrueForAll(ranges, IsOfPages) && device.Function.Bar((int)wanted.RegionIndex) is { } bar && Array.TrueForAll(ranges, range => IsIn(range, bar))
            ? new VfioReply(Errno.None, DmaBuf: device.Exports.Add(device.Address.ToString(), bar, ranges))
            : new VfioReply(Errno.EINVAL);
    }

    private static bool IsOfPages(VfioRegionDmaRange range) => range.Length > 0 && range.Offset % PageBytes == 0 && range.Length % PageBytes == 0;

    private static bool IsIn(VfioRegionDmaRange range, PciBar bar) => range.Offset < (ulong)bar.Length && range.Length <= (ulong)bar.Length - range.Offset;
}
