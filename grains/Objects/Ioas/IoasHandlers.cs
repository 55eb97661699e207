using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>The commands on IO address spaces, as the context runs them.</summary>
internal static class IoasHandlers
{
    /// <summary>IOMMU_IOAS_ALLOC.</summary>
    public static ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCall call)
    {
        var cmd = call.Read<IommuIoasAlloc>();
        if (cmd.Flags != 0)
        {
            return ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.UnsupportedFlags, cmd.Flags));
        }

        var objects = scope.Context.Objects;
        if (objects.Reserve(ObjectType.Ioas) is not { } ioas)
        {
            return ValueTask.FromResult(Failure.Reply(Errno.EBUSY, DiagnosticReason.NoFreeId));
        }

        cmd.OutIoasId = ioas.Id.Value;
        var reply = call.Respond(in cmd);
        if (reply.Errno == Errno.None)
        {
            objects.Finalize(ioas);
        }
        else
        {
            objects.Abort(ioas);
        }

        return ValueTask.FromResult(reply);
    }

    /// <summary>IOMMU_VFIO_IOAS.</summary>
    public static ValueTask<IoctlReply> VfioIoas(IoctlScope scope, IoctlCall call)
    {
        var cmd = call.Read<IommuVfioIoas>();
        return ValueTask.FromResult(cmd.Reserved == 0
            ? VfioIoas(scope.Context, call, cmd)
            : Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved));
    }

    /// <summary>IOMMU_OPTION with IOMMU_OPTION_HUGE_PAGES.</summary>
    public static ValueTask<IoctlReply> HugePages(IoctlScope scope, IoctlCall call, IommuOption cmd)
        => scope.Context.Objects.Find(cmd.ObjectId, ObjectType.Ioas) is { } ioas
            ? HugePagesAsync(scope, ioas, call, cmd)
            : ValueTask.FromResult(Failure.ObjectNotFound(scope.Context.Objects, cmd.ObjectId));

    private static async ValueTask<IoctlReply> HugePagesAsync(IoctlScope scope, ObjectEntry ioas, IoctlCall call, IommuOption cmd)
    {
        var answer = await scope.Grains.CallAsync<IIoasGrain, IommuOption, OptionReply>(
            ioas, cmd, static (grain, stamp, cmd) => grain.HugePagesAsync(stamp, (IommuOptionOp)cmd.Op, cmd.Val64));
        cmd.Val64 = answer.Value;
        return answer.Errno switch
        {
            Errno.None => call.Respond(in cmd),
            Errno.EIO => Failure.ObjectUnreachable(ioas),
            Errno.EOPNOTSUPP => Failure.Unsupported(DiagnosticReason.UnsupportedOp, cmd.Op),
            _ => Failure.Reply(answer.Errno, DiagnosticReason.InvalidOptionValue, cmd.Val64),
        };
    }

    private static IoctlReply VfioIoas(ContextModel context, IoctlCall call, IommuVfioIoas cmd)
    {
        switch ((IommuVfioIoasOp)cmd.Op)
        {
            case IommuVfioIoasOp.Get when context.CompatIoas is { } compat:
                cmd.IoasId = compat.Id.Value;
                return call.Respond(in cmd);

            case IommuVfioIoasOp.Get:
                return Failure.Reply(Errno.ENODEV, DiagnosticReason.NoCompatIoas);

            case IommuVfioIoasOp.Set when context.Objects.Find(cmd.IoasId, ObjectType.Ioas) is { } ioas:
                context.CompatIoas = ioas;
                return IoctlReply.Success;

            case IommuVfioIoasOp.Set:
                return Failure.ObjectNotFound(context.Objects, cmd.IoasId);

            case IommuVfioIoasOp.Clear:
                context.CompatIoas = null;
                return IoctlReply.Success;

            default:
                return Failure.Unsupported(DiagnosticReason.UnsupportedOp, cmd.Op);
        }
    }
}
