using System.Runtime.CompilerServices;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>VFIO_DEVICE_FEATURE: no device here has a feature, so that a well-formed question is answered ENOTTY, PROBE included.</summary>
internal static class VfioFeatures
{
    public static VfioReply Run(VfioIoctl ioctl)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.Feature, out VfioDeviceFeature feature);
        if (errno != Errno.None)
        {
            return new VfioReply(errno);
        }

        var flags = (VfioFeatureFlags)feature.Flags;
        var isUnknown = (flags & ~(VfioFeatureFlags.Number | VfioFeatureFlags.Get | VfioFeatureFlags.Set | VfioFeatureFlags.Probe)) != 0;
        var isBoth = !flags.HasFlag(VfioFeatureFlags.Probe) && flags.HasFlag(VfioFeatureFlags.Get | VfioFeatureFlags.Set);
        return new VfioReply(feature.Argsz < Unsafe.SizeOf<VfioDeviceFeature>() || isUnknown || isBoth ? Errno.EINVAL : Errno.ENOTTY);
    }
}
