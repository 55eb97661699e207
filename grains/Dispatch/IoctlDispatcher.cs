using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.FaultQueues;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.HwQueues;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Objects.NestedHwpts;
using IommuFd.Grains.Objects.Vdevices;
using IommuFd.Grains.Objects.Veventqs;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Grains.Selftest;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

// The constant table of commands: a command's handler, and the rule that says when the command has changed the context. An ioctl that passes
// pre-validation goes to its command's handler.

/// <summary>Runs a command that has passed pre-validation.</summary>
internal delegate ValueTask<IoctlReply> IoctlHandler(IoctlScope scope, IoctlCommand call);

/// <summary>Leads an ioctl to its handler.</summary>
internal static class IoctlDispatcher
{
    private static readonly Row?[] Table = Build(
        (IommuCommand.Destroy, DestroyHandler.Destroy, ChangeRules.OnSuccess),
        (IommuCommand.Option, OptionHandler.Option, OptionHandler.Changes),
        (IommuCommand.IoasAlloc, IoasHandlers.Alloc, ChangeRules.OnSuccess),
        (IommuCommand.IoasAllowIovas, IoasMappingHandlers.AllowIovas, ChangeRules.OnSuccess),
        (IommuCommand.IoasCopy, IoasMappingHandlers.Copy, ChangeRules.OnSuccess),
        (IommuCommand.IoasIovaRanges, IoasMappingHandlers.IovaRanges, ChangeRules.Never),
        (IommuCommand.IoasMap, IoasMappingHandlers.Map, ChangeRules.OnSuccess),
        (IommuCommand.IoasUnmap, IoasMappingHandlers.Unmap, ChangeRules.Always),
        (IommuCommand.IoasMapFile, IoasMappingHandlers.MapFile, ChangeRules.OnSuccess),
        (IommuCommand.IoasChangeProcess, IoasHandlers.ChangeProcess, ChangeRules.OnSuccess),
        (IommuCommand.HwptAlloc, HwptAllocHandlers.Alloc, ChangeRules.OnSuccess),
        (IommuCommand.GetHwInfo, DeviceHandlers.GetHwInfo, ChangeRules.Never),
        (IommuCommand.HwptSetDirtyTracking, HwptHandlers.SetDirtyTracking, ChangeRules.OnSuccess),
        (IommuCommand.HwptGetDirtyBitmap, HwptHandlers.GetDirtyBitmap, ChangeRules.OnSuccess),
        (IommuCommand.HwptInvalidate, NestedHwptHandlers.Invalidate, ChangeRules.Always),
        (IommuCommand.FaultQueueAlloc, FaultQueueHandlers.Alloc, ChangeRules.OnSuccess),
        (IommuCommand.ViommuAlloc, ViommuHandlers.Alloc, ChangeRules.OnSuccess),
        (IommuCommand.VdeviceAlloc, VdeviceHandlers.Alloc, ChangeRules.OnSuccess),
        (IommuCommand.VeventqAlloc, VeventqHandlers.Alloc, ChangeRules.OnSuccess),
        (IommuCommand.HwQueueAlloc, HwQueueHandlers.Alloc, ChangeRules.OnSuccess),
        (IommuCommand.TestCmd, TestCommandHandler.Run, TestCommandHandler.Changes),
        (IommuCommand.VfioIoas, IoasHandlers.VfioIoas, ChangeRules.OnSuccess));

    /// <summary>Runs an ioctl on an open context.</summary>
    public static ValueTask<IoctlReply> DispatchAsync(IoctlScope scope, IoctlRequest request)
    {
        if (request is null)
        {
            // Only a client without the SDK sends nothing at all.
            return ValueTask.FromResult(Failure.Reply(Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, 0, sizeof(uint)));
        }

        if (!IoctlTable.TryIndex(request.Command, out _))
        {
            return CompatDispatcher.DispatchAsync(scope, request);
        }

        var failure = Prevalidation.Check(request, out var index);
        if (failure.Errno != Errno.None)
        {
            return ValueTask.FromResult(Failure.Reply(failure.Errno, failure.Reason, failure.Value, failure.Limit));
        }

        var row = Table[index]!.Value;
        return row.Handler is not { } handler ? ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.NotImplemented, request.Command))
            : request.Fault is null ? handler(scope, new IoctlCommand(row.Descriptor, request))
            : FailSomewhereAsync(scope, handler, row.Descriptor, request);
    }

    // DESTROY needs no memory, as in Linux: a program must be able to give back what it has.
    private static async ValueTask<IoctlReply> FailSomewhereAsync(IoctlScope scope, IoctlHandler handler, IoctlDescriptor descriptor, IoctlRequest request)
    {
        var points = scope.Context.Objects.FailurePoints;
        points.Begin(request.Fault);
        try
        {
            var reply = descriptor.Command != IommuCommand.Destroy && points.Pass() is { Succeeded: false } failed
                ? failed.ToReply()
                : await handler(scope, new IoctlCommand(descriptor, request));
            return reply.With(points.Passed);
        }
        finally
        {
            points.Begin(null);
        }
    }

    /// <summary>Whether an ioctl has changed the context, or may have, given its answer. Such an answer must be journaled.</summary>
    public static bool Changes(IoctlRequest request, IoctlReply reply)
        => request is not null
            && (IoctlTable.TryIndex(request.Command, out var index)
                ? Table[index] is { Changes: { } changes } && changes(request, reply.Errno)
                : CompatDispatcher.Changes(request, reply));

    private static Row?[] Build(params (IommuCommand Command, IoctlHandler Handler, ChangeRule<IoctlRequest> Changes)[] handlers)
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

    /// <summary>A command, its handler and its rule; both are null where this version does not implement the command.</summary>
    private readonly record struct Row(IoctlDescriptor Descriptor, IoctlHandler? Handler, ChangeRule<IoctlRequest>? Changes);
}
