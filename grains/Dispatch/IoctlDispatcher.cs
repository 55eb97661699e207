using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Selftest;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

// The constant table of commands and the checks before a command runs, in the kernel's order (iommufd_fops_ioctl and
// copy_struct_from_user): the number lies in the table or ENOTTY; the size can be read or EFAULT; the full ioctl number is the
// command's or ENOTTY; the size is not below the smallest or EINVAL; bytes behind the known struct are zero or E2BIG; all bytes
// can be read or EFAULT. Then the handler runs.

/// <summary>Whether a command that was answered so has changed the context, or may have.</summary>
internal delegate bool ChangeRule(IoctlRequest request, Errno errno);

/// <summary>Runs a command that has passed pre-validation.</summary>
internal delegate ValueTask<IoctlReply> IoctlHandler(IoctlScope scope, IoctlCommand call);

/// <summary>Leads an ioctl to its handler.</summary>
internal static class IoctlDispatcher
{
    private static readonly Row?[] Table = Build(
        (IommuCommand.Destroy, DestroyHandler.Destroy, OnSuccess),
        (IommuCommand.Option, OptionHandler.Option, OptionHandler.Changes),
        (IommuCommand.IoasAlloc, IoasHandlers.Alloc, OnSuccess),
        (IommuCommand.IoasAllowIovas, IoasMappingHandlers.AllowIovas, OnSuccess),
        (IommuCommand.IoasCopy, IoasMappingHandlers.Copy, OnSuccess),
        (IommuCommand.IoasIovaRanges, IoasMappingHandlers.IovaRanges, Never),
        (IommuCommand.IoasMap, IoasMappingHandlers.Map, OnSuccess),
        (IommuCommand.IoasUnmap, IoasMappingHandlers.Unmap, Always),
        (IommuCommand.IoasMapFile, IoasMappingHandlers.MapFile, OnSuccess),
        (IommuCommand.IoasChangeProcess, IoasHandlers.ChangeProcess, OnSuccess),
        (IommuCommand.HwptAlloc, HwptHandlers.Alloc, OnSuccess),
        (IommuCommand.GetHwInfo, DeviceHandlers.GetHwInfo, Never),
        (IommuCommand.HwptSetDirtyTracking, HwptHandlers.SetDirtyTracking, OnSuccess),
        (IommuCommand.HwptGetDirtyBitmap, HwptHandlers.GetDirtyBitmap, OnSuccess),
        (IommuCommand.TestCmd, TestCommandHandler.Run, OnSuccess),
        (IommuCommand.VfioIoas, IoasHandlers.VfioIoas, OnSuccess));

    /// <summary>Runs an ioctl on an open context.</summary>
    public static ValueTask<IoctlReply> DispatchAsync(IoctlScope scope, IoctlRequest request)
    {
        if (request is null)
        {
            // Only a client without the SDK sends nothing at all.
            return ValueTask.FromResult(Failure.Reply(Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, 0, sizeof(uint)));
        }

        var failure = Prevalidate(request, out var index);
        if (failure.Errno != Errno.None)
        {
            return ValueTask.FromResult(Failure.Reply(failure.Errno, failure.Reason, failure.Value, failure.Limit));
        }

        var row = Table[index]!.Value;
        return row.Handler is { } handler
            ? handler(scope, new IoctlCommand(row.Descriptor, request))
            : ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.NotImplemented, request.Command));
    }

    /// <summary>Whether an ioctl that was answered so has changed the context, or may have: then its answer must last.</summary>
    public static bool Changes(IoctlRequest request, IoctlReply reply)
        => request is not null && IoctlTable.TryIndex(request.Command, out var index) && Table[index] is { Changes: { } changes } && changes(request, reply.Errno);

    /// <summary>The checks before a command runs. Allocates nothing and trusts no length.</summary>
    /// <param name="request">Anything that a caller may send.</param>
    /// <param name="index">The command's place in the table; meaningful only on success.</param>
    /// <returns>The first check that fails; errno 0 where none does.</returns>
    internal static Prevalidation Prevalidate(IoctlRequest request, out int index)
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

        if (Table[index] is not { } row || (uint)row.Descriptor.Command != request.Command)
        {
            return new(Errno.ENOTTY, DiagnosticReason.UnknownCommand, request.Command);
        }

        if (argument.Length > IoctlLimits.MaxArgumentBytes)
        {
            return new(Errno.E2BIG, DiagnosticReason.RequestTooLarge, (ulong)argument.Length, IoctlLimits.MaxArgumentBytes);
        }

        var userSize = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        if (userSize < (uint)row.Descriptor.MinSize)
        {
            return new(Errno.EINVAL, DiagnosticReason.ArgumentTooShort, userSize, (ulong)row.Descriptor.MinSize);
        }

        return CheckBehindKnown(argument, userSize, row.Descriptor.Size, request.Tail);
    }

    // Linux looks at the bytes behind the struct that it knows before it copies the struct, so that a byte that isn't zero wins over
    // one that can't be read unless the latter comes first. All bytes are within reach of one page fault: a struct that is cut off
    // by an unreadable page has nothing readable behind the cut.
    private static Prevalidation CheckBehindKnown(ReadOnlySpan<byte> argument, uint userSize, int knownSize, ArgumentTail tail)
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

    private static bool Never(IoctlRequest request, Errno errno) => false;

    private static bool OnSuccess(IoctlRequest request, Errno errno) => errno == Errno.None;

    private static bool Always(IoctlRequest request, Errno errno) => true;

    private static Row?[] Build(params (IommuCommand Command, IoctlHandler Handler, ChangeRule Changes)[] handlers)
    {
        var table = new Row?[IoctlTable.Length];
        foreach (var descriptor in IoctlTable.All)
        {
            IoctlTable.TryIndex((uint)descriptor.Command, out var index);
            var (_, handler, changes) = Array.Find(handlers, row => row.Command == descriptor.Command);
            table[index] = new Row(descriptor, handler, changes);
        }

        return table;
    }

    /// <summary>What pre-validation found.</summary>
    internal readonly record struct Prevalidation(Errno Errno, DiagnosticReason Reason, ulong Value, ulong Limit = 0);

    /// <summary>A command and who runs it; nobody does where this version does not implement it.</summary>
    private readonly record struct Row(IoctlDescriptor Descriptor, IoctlHandler? Handler, ChangeRule? Changes);
}
