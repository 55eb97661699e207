using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Vfio.Compat;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

// /dev/iommu answers the type1 ioctls of /dev/vfio/vfio, on the compatibility IOAS. Each looks at its argument in its own way, so that there is no pre-validation but one
// rule: what a command reads can be read, or EFAULT.

/// <summary>Leads an ioctl of the type1 interface to its handler.</summary>
internal static class CompatDispatcher
{
    private static readonly (VfioCommand Command, IoctlHandler Handler, ChangeRule<IoctlRequest> Changes)[] Table =
    [
        (VfioCommand.GetApiVersion, CompatHandlers.GetApiVersion, ChangeRules.Never),
        (VfioCommand.CheckExtension, CompatHandlers.CheckExtension, ChangeRules.Never),
        (VfioCommand.SetIommu, CompatHandlers.SetIommu, ChangeRules.OnSuccess),
        (VfioCommand.IommuGetInfo, CompatHandlers.GetInfo, ChangeRules.Never),
        (VfioCommand.IommuMapDma, CompatHandlers.MapDma, ChangeRules.OnSuccess),
        (VfioCommand.IommuUnmapDma, CompatHandlers.UnmapDma, ChangeRules.Always),
    ];

    /// <summary>Runs an ioctl whose number is outside iommufd's own table.</summary>
    public static ValueTask<IoctlReply> DispatchAsync(IoctlScope scope, IoctlRequest request)
    {
        if (VfioTable.Find(request.Command) is not { } descriptor)
        {
            return ValueTask.FromResult(Failure.Reply(Errno.ENOTTY, DiagnosticReason.UnknownNumber, request.Command));
        }

        return request.Argument.Length < descriptor.MinSize
            ? ValueTask.FromResult(Failure.Reply(Errno.EFAULT, DiagnosticReason.ArgumentUnreadable, (ulong)request.Argument.Length, (ulong)descriptor.MinSize))
            : Find(request.Command).Handler(scope, new IoctlCommand(descriptor, request));
    }

    /// <summary>Whether an ioctl has changed the context, or may have, given its answer.</summary>
    public static bool Changes(IoctlRequest request, IoctlReply reply) => Find(request.Command) is { Changes: { } changes } && changes(request, reply.Errno);

    private static (VfioCommand Command, IoctlHandler Handler, ChangeRule<IoctlRequest> Changes) Find(uint command) => Array.Find(Table, row => (uint)row.Command == command);
}
