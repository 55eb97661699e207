using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

// The kernel's checks in the kernel's order (iommufd_fops_ioctl and copy_struct_from_user): the number lies in the table or ENOTTY; the
// size can be read or EFAULT; the full ioctl number is the command's or ENOTTY; the size is not below the smallest or EINVAL; bytes behind
// the known struct are zero or E2BIG; all bytes can be read or EFAULT.

/// <summary>The checks that an ioctl passes before its command runs. They allocate nothing and trust no length.</summary>
internal static class Prevalidation
{
    /// <summary>Checks an ioctl.</summary>
    /// <param name="request">Anything that a caller may send.</param>
    /// <param name="index">The command's place in <see cref="IoctlTable"/>; meaningful only where the request passes.</param>
    /// <returns>The first check that fails; errno 0 where none does.</returns>
    public static PrevalidationResult Check(IoctlRequest request, out int index)
    {
        if (!IoctlTable.TryIndex(request.Command, out index))
        {
            return new(Errno.ENOTTY, DiagnosticReason.UnknownNumber, request.Command);
        }

        ReadOnlySpan<byte> argument = request.Argument;
        if (argument.Length < sizeof(uint))
        {
            return new(Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, (ulong)argument.Length, sizeof(uint));
        }

        if (IoctlTable.Find(request.Command) is not { } descriptor)
        {
            return new(Errno.ENOTTY, DiagnosticReason.UnknownCommand, request.Command);
        }

        if (argument.Length > IoctlLimits.MaxArgumentBytes)
        {
            return new(Errno.E2BIG, DiagnosticReason.RequestTooLarge, (ulong)argument.Length, IoctlLimits.MaxArgumentBytes);
        }

        if (request.File is { Identity.Length: > IoctlLimits.MaxIdentityLength and var length })
        {
            return new(Errno.E2BIG, DiagnosticReason.RequestTooLarge, (ulong)length, IoctlLimits.MaxIdentityLength);
        }

        var userSize = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        if (userSize < (uint)descriptor.MinSize)
        {
            return new(Errno.EINVAL, DiagnosticReason.ArgumentTooShort, userSize, (ulong)descriptor.MinSize);
        }

        return CheckBehindKnown(argument, userSize, descriptor.Size, request.Tail);
    }

    // Linux looks at the bytes behind the struct that it knows before it copies the struct, so that a byte that isn't zero wins over
    // one that can't be read unless the latter comes first. All bytes are within reach of one page fault: a struct that is cut off
    // by an unreadable page has nothing readable behind the cut.
    private static PrevalidationResult CheckBehindKnown(ReadOnlySpan<byte> argument, uint userSize, int knownSize, ArgumentTail tail)
    {
        var passed = argument[..(int)Math.Min((uint)argument.Length, userSize)];
        if (passed.Length > knownSize && passed[knownSize..].IndexOfAnyExcept((byte)0) >= 0)
        {
            return new(Errno.E2BIG, DiagnosticReason.UnknownBytesNotZero, userSize, (ulong)knownSize);
        }

        if ((uint)passed.Length == userSize)
        {
            return default;
        }

        return tail switch
        {
            ArgumentTail.Zero => default,
            ArgumentTail.NonZero => new(Errno.E2BIG, DiagnosticReason.UnknownBytesNotZero, userSize, (ulong)knownSize),
            _ => new(Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, (ulong)passed.Length, userSize),
        };
    }
}
