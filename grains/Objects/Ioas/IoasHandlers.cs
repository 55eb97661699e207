using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>The commands on IO address spaces, as the context runs them.</summary>
internal static class IoasHandlers
{
    /// <summary>IOMMU_IOAS_ALLOC.</summary>
    public static ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuIoasAlloc>();
        if (cmd.Flags != 0)
        {
            return ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.UnsupportedFlags, cmd.Flags));
        }

        var objects = scope.Context.Objects;
        if (objects.Reserve(static (id, serial) => new IoasEntry(id, serial)) is not { } ioas)
        {
            return ValueTask.FromResult(objects.NoRoom().ToReply());
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
    public static ValueTask<IoctlReply> VfioIoas(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuVfioIoas>();
        return ValueTask.FromResult(cmd.Reserved == 0
            ? VfioIoas(scope.Context, call, cmd)
            : Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved));
    }

    /// <summary>
    /// IOMMU_IOAS_CHANGE_PROCESS: all that the context has pinned counts against the calling program, and not against those that mapped it. As in Linux, its
    /// limit must have room before the others are told, also where they count against the same user.
    /// </summary>
    public static async ValueTask<IoctlReply> ChangeProcess(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuIoasChangeProcess>();
        if (cmd.Reserved != 0)
        {
            return Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved);
        }

        // An IOAS whose grain was never called has no mapping.
        var ioases = scope.Context.Objects.After(0).Where(entry => entry.Type == ObjectType.Ioas && scope.Grains.WasCalled(entry)).ToList();
        foreach (var ioas in ioases)
        {
            var answer = await scope.Grains.CallAsync<IIoasGrain, object?, ObjectReply>(
                ioas, null, static (grain, stamp, _) => grain.CheckChangeProcessAsync(stamp));
            if (answer.Errno != Errno.None)
            {
                return Failure.Of(answer, ioas);
            }
        }

        var price = scope.Grains.Pins.PriceOfMove(call.Memory).ToList();
        if (price.Count > 0 && await scope.Programs.ChargeAsync(scope.Grains.Pins, price) is { } refusal)
        {
            return new IoctlReply { Errno = Errno.ENOMEM, Diagnostic = refusal };
        }

        foreach (var ioas in ioases)
        {
            var answer = await scope.Grains.CallAsync<IIoasGrain, MemorySource?, ObjectReply>(
                ioas, call.Memory, static (grain, stamp, source) => grain.ChangeProcessAsync(stamp, source));
            if (answer.Errno != Errno.None)
            {
                return Failure.Of(answer, ioas);
            }
        }

        scope.Grains.Pins.Move(call.Memory);
        return IoctlReply.Success;
    }

    /// <summary>IOMMU_OPTION with IOMMU_OPTION_HUGE_PAGES. An answer that can't be written is found out before anything is set.</summary>
    public static ValueTask<IoctlReply> HugePages(IoctlScope scope, IoctlCommand call, IommuOption cmd)
    {
        if (scope.Context.Objects.Find<IoasEntry>(cmd.ObjectId) is not { } ioas)
        {
            return ValueTask.FromResult(Failure.ObjectNotFound(scope.Context.Objects, cmd.ObjectId));
        }

        return IoasChecks.HugePages((IommuOptionOp)cmd.Op, cmd.Val64) switch
        {
            Errno.EOPNOTSUPP => ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.UnsupportedOp, cmd.Op)),
            Errno.EINVAL => ValueTask.FromResult(Failure.Reply(Errno.EINVAL, DiagnosticReason.InvalidOptionValue, cmd.Val64)),
            _ when !call.CanRespond<IommuOption>() => ValueTask.FromResult(call.Respond(in cmd)),
            _ => HugePagesAsync(scope, ioas, call, cmd),
        };
    }

    /// <summary>Changes an IOAS for its devices, page tables and accesses: all of the changes are made, or none.</summary>
    public static ValueTask<OperationResult> ChangeAsync(IoctlScope scope, IoasEntry ioas, IReadOnlyCollection<IoasChange> changes)
    {
        return changes.Count == 0 ? default : CallAsync(scope, ioas, [.. changes]);

        static async ValueTask<OperationResult> CallAsync(IoctlScope scope, IoasEntry ioas, IoasChange[] changes)
        {
            var reply = await IoasPinningHandlers.CallAsync(scope, ioas, changes, static (grain, stamp, changes, facts) => grain.ChangeAsync(stamp, changes, facts));
            return OperationResult.Of(reply, ioas);
        }
    }

    private static async ValueTask<IoctlReply> HugePagesAsync(IoctlScope scope, ObjectEntry ioas, IoctlCommand call, IommuOption cmd)
    {
        var answer = await scope.Grains.CallAsync<IIoasGrain, IommuOption, ObjectReply>(
            ioas, cmd, static (grain, stamp, cmd) => grain.HugePagesAsync(stamp, (IommuOptionOp)cmd.Op, cmd.Val64));
        if (answer.Errno != Errno.None)
        {
            return Failure.Of(answer, ioas);
        }

        cmd.Val64 = answer.Value;
        return call.Respond(in cmd);
    }

    private static IoctlReply VfioIoas(ContextModel context, IoctlCommand call, IommuVfioIoas cmd)
    {
        switch ((IommuVfioIoasOp)cmd.Op)
        {
            case IommuVfioIoasOp.Get when context.CompatIoas is { } compat:
                cmd.IoasId = compat.Id.Value;
                return call.Respond(in cmd);

            case IommuVfioIoasOp.Get:
                return Failure.Reply(Errno.ENODEV, DiagnosticReason.NoCompatIoas);

            case IommuVfioIoasOp.Set when context.Objects.Find<IoasEntry>(cmd.IoasId) is { } ioas:
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
