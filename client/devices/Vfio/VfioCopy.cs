using System.Runtime.InteropServices;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>Copies between an argument and its struct, as <c>copy_from_user</c> and <c>copy_to_user</c> do.</summary>
internal static class VfioCopy
{
    /// <summary>Reads what a command always reads; EFAULT where it can't. Bytes of the struct behind that are 0, unless argsz says that they are there.</summary>
    public static Errno In<T>(VfioIoctl ioctl, VfioDeviceCommand command, out T argument)
        where T : unmanaged
        => Read(ioctl, VfioArgument.LeastOf(command), out argument);

    /// <summary>Reads leading bytes of a struct; EFAULT where they can't be read.</summary>
    public static Errno Read<T>(VfioIoctl ioctl, int length, out T argument)
        where T : unmanaged
    {
        argument = default;
        if (ioctl.Argument.Length < length)
        {
            return Errno.EFAULT;
        }

        ioctl.Argument.Span[..length].CopyTo(MemoryMarshal.AsBytes(new Span<T>(ref argument)));
        return Errno.None;
    }

    /// <summary>Answers with leading bytes of the argument; EFAULT where they can't be written.</summary>
    public static VfioReply Back(VfioIoctl ioctl, ReadOnlySpan<byte> bytes, Errno errno = Errno.None)
        => bytes.Length <= ioctl.WritableBytes ? new VfioReply(errno, 0, bytes.ToArray()) : new VfioReply(Errno.EFAULT);

    /// <summary>Answers with a struct and what follows it.</summary>
    public static VfioReply Back<T>(VfioIoctl ioctl, in T argument, ReadOnlySpan<byte> rest = default, Errno errno = Errno.None)
        where T : unmanaged
        => Back(ioctl, [.. UapiStruct.ToBytes(in argument), .. rest], errno);
}
