using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using IommuFd.Devices.Pci;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>VFIO_DEVICE_FEATURE: a device exports its BARs as dma-bufs, and may be let to sleep. Every other feature is ENOTTY, PROBE included. In the function's loop.</summary>
internal static class VfioFeatures
{
    // Ranges that one dma-buf can have.
    private const uint MaxRanges = 256;
    private const ulong PageBytes = 4096;

    private static readonly int HeaderBytes = Unsafe.SizeOf<VfioDeviceFeature>();

    public static VfioReply Run(VfioDevice device, VfioIoctl ioctl, IVfioFiles files)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.Feature, out VfioDeviceFeature feature);
        if (errno != Errno.None)
        {
            return new VfioReply(errno);
        }

        var flags = (VfioFeatureFlags)feature.Flags;
        var isUnknown = (flags & ~(VfioFeatureFlags.Number | VfioFeatureFlags.Get | VfioFeatureFlags.Set | VfioFeatureFlags.Probe)) != 0;
        var isBoth = !flags.HasFlag(VfioFeatureFlags.Probe) && flags.HasFlag(VfioFeatureFlags.Get | VfioFeatureFlags.Set);
        if (feature.Argsz < HeaderBytes || isUnknown || isBoth)
        {
            return new VfioReply(Errno.EINVAL);
        }

        return (VfioFeature)(flags & VfioFeatureFlags.Number) switch
        {
            VfioFeature.DmaBuf => Check(feature.Argsz, flags, VfioFeatureFlags.Get, Unsafe.SizeOf<VfioDeviceFeatureDmaBuf>()) ?? DmaBuf(device, ioctl),
            VfioFeature.LowPowerEntry => Check(feature.Argsz, flags, VfioFeatureFlags.Set, 0) ?? Enter(device, null),
            VfioFeature.LowPowerEntryWithWakeup => Check(feature.Argsz, flags, VfioFeatureFlags.Set, 2 * sizeof(int)) ?? Enter(device, ioctl, files),
            VfioFeature.LowPowerExit => Check(feature.Argsz, flags, VfioFeatureFlags.Set, 0) ?? Exit(device),
            _ => new VfioReply(Errno.ENOTTY),
        };
    }

    // vfio_check_feature: null where the feature is to be used, and not only asked for.
    private static VfioReply? Check(uint argsz, VfioFeatureFlags flags, VfioFeatureFlags operation, int leastBytes)
    {
        var asked = flags & (VfioFeatureFlags.Get | VfioFeatureFlags.Set);
        return (asked & ~operation) != 0 ? new VfioReply(Errno.EINVAL)
            : flags.HasFlag(VfioFeatureFlags.Probe) ? default(VfioReply)
            : asked == 0 || argsz < HeaderBytes + leastBytes ? new VfioReply(Errno.EINVAL)
            : null;
    }

    private static VfioReply Enter(VfioDevice device, IInterrupt? wakeup) => new(device.LowPower.TryEnter(wakeup) ? Errno.None : Errno.EINVAL);

    private static VfioReply Enter(VfioDevice device, VfioIoctl ioctl, IVfioFiles files)
    {
        if (ioctl.Argument.Length < HeaderBytes + (2 * sizeof(int)))
        {
            return new VfioReply(Errno.EFAULT);
        }

        var eventFd = BinaryPrimitives.ReadInt32LittleEndian(ioctl.Argument.Span[HeaderBytes..]);
        var found = eventFd < 0 ? new VfioFound<IInterrupt>(Errno.EINVAL) : files.FindInterrupt(eventFd);
        if (found.Value is not { } wakeup)
        {
            return new VfioReply(found.Errno);
        }

        var reply = Enter(device, wakeup);
        if (reply.Errno != Errno.None)
        {
            (wakeup as IDisposable)?.Dispose();
        }

        return reply;
    }

    private static VfioReply Exit(VfioDevice device)
    {
        device.LowPower.Exit();
        return default;
    }

    private static VfioReply DmaBuf(VfioDevice device, VfioIoctl ioctl)
    {
        var at = HeaderBytes + Unsafe.SizeOf<VfioDeviceFeatureDmaBuf>();
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
