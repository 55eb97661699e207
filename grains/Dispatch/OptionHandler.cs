using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

/// <summary>IOMMU_OPTION: options of the context are decided here, those of an object by its kind.</summary>
internal static class OptionHandler
{
    /// <summary>The rule of IOMMU_OPTION: setting changes the context where it succeeds, getting never does.</summary>
    public static bool Changes(IoctlRequest request, Errno errno)
        => errno == Errno.None && new IoctlCommand(IoctlTable.Get(IommuCommand.Option), request).Read<IommuOption>().Op != (ushort)IommuOptionOp.Get;

    public static ValueTask<IoctlReply> Option(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuOption>();
        if (cmd.Reserved != 0)
        {
            return ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved));
        }

        return (IommuOptionId)cmd.OptionId switch
        {
            IommuOptionId.RlimitMode => ValueTask.FromResult(RlimitMode(scope.Context, call, cmd)),
            IommuOptionId.HugePages => IoasHandlers.HugePages(scope, call, cmd),
            _ => ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.UnsupportedOption, cmd.OptionId)),
        };
    }

    private static IoctlReply RlimitMode(ContextModel context, IoctlCommand call, IommuOption cmd)
    {
        if (cmd.ObjectId != 0)
        {
            return new IoctlReply
            {
                Errno = Errno.EOPNOTSUPP,
                Diagnostic = Failure.Because(DiagnosticReason.OptionTakesNoObject, about: new ObjectRef(ObjectType.Any, new ObjectId(cmd.ObjectId))),
            };
        }

        switch ((IommuOptionOp)cmd.Op)
        {
            case IommuOptionOp.Get:
                cmd.Val64 = context.RlimitMode;
                return call.Respond(in cmd);

            case IommuOptionOp.Set when call.Limits.HasFlag(CallerLimits.RlimitMode):
                return Failure.Reply(Errno.EPERM, DiagnosticReason.RlimitModeNotPermitted);

            case IommuOptionOp.Set when !context.Objects.IsEmpty:
                return Failure.ContextHasObjects(context.Objects);

            case IommuOptionOp.Set when cmd.Val64 > 1:
                return Failure.Reply(Errno.EINVAL, DiagnosticReason.InvalidOptionValue, cmd.Val64);

            case IommuOptionOp.Set when !call.CanRespond<IommuOption>():
                // Linux has set the option by the time that copying back faults. Here an error changes nothing.
                return call.Respond(in cmd);

            case IommuOptionOp.Set:
                context.RlimitMode = (uint)cmd.Val64;
                return call.Respond(in cmd);

            default:
                return Failure.Unsupported(DiagnosticReason.UnsupportedOp, cmd.Op);
        }
    }
}
