using System.Runtime.CompilerServices;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>The argument of BIND: 16 bytes, or 24 with a token, or more that are zero.</summary>
internal static class VfioBind
{
    /// <summary>Checks it: EFAULT where it can't be read, E2BIG for unknown bytes that are not zero, EINVAL for what is wrong.</summary>
    public static Errno Check(VfioIoctl ioctl, out VfioDeviceBindIommufd bind)
    {
        bind = default;
        if (VfioCopy.Read(ioctl, sizeof(uint), out uint argsz) is var unread && unread != Errno.None)
        {
            return unread;
        }

        if (argsz < VfioArgument.LeastOf(VfioDeviceCommand.BindIommufd))
        {
            return Errno.EINVAL;
        }

        var known = Unsafe.SizeOf<VfioDeviceBindIommufd>();
        if (argsz > known && TailErrno(ioctl, argsz, known) is var tail && tail != Errno.None)
        {
            return tail;
        }

        var errno = VfioCopy.Read(ioctl, (int)Math.Min(argsz, (uint)known), out bind);
        return errno != Errno.None ? errno : bind.Iommufd < 0 || (bind.Flags & ~(uint)VfioBindFlags.Token) != 0 ? Errno.EINVAL : Errno.None;
    }

    private static Errno TailErrno(VfioIoctl ioctl, uint argsz, int known)
    {
        var end = (int)Math.Min(argsz, (uint)ioctl.Argument.Length);
        return end > known && ioctl.Argument.Span[known..end].ContainsAnyExcept((byte)0) ? Errno.E2BIG
            : end < argsz && end < VfioArgument.MaxLength ? Errno.EFAULT
            : argsz > VfioArgument.MaxLength ? Errno.E2BIG
            : Errno.None;
    }
}
