using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Selftest;

/// <summary>IOMMU_TEST_CMD: what the kernel's selftest does to a context from the driver's side.</summary>
internal static class TestCommandHandler
{
    /// <summary>The rule of IOMMU_TEST_CMD: what fails changes nothing, but for an event that is lost and a replacement that fails once, which are counted.</summary>
    public static bool Changes(IoctlRequest request, Errno errno)
        => errno == Errno.None
            || (errno == Errno.ENOMEM
                && (IommuTestOp)new IoctlCommand(IoctlTable.Get(IommuCommand.TestCmd), request).Read<IommuTestCmd>().Op
                    is IommuTestOp.TriggerVevent or IommuTestOp.PasidAttach or IommuTestOp.PasidReplace);

    public static ValueTask<IoctlReply> Run(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        return (IommuTestOp)cmd.Op switch
        {
            IommuTestOp.AddReserved => AddReservedAsync(scope, cmd),
            IommuTestOp.MockDomain or IommuTestOp.MockDomainFlags => SelftestHandlers.MockDomain(scope, call),
            IommuTestOp.MockDomainReplace => SelftestHandlers.Replace(scope, call),
            IommuTestOp.MdCheckMap => TestDomainHandlers.CheckMap(scope, call),
            IommuTestOp.MdCheckRefs => TestDomainHandlers.CheckRefs(scope, call),
            IommuTestOp.Dirty => TestDomainHandlers.Dirty(scope, call),
            IommuTestOp.CreateAccess => TestAccessHandlers.Create(scope, call),
            IommuTestOp.AccessPages => TestAccessHandlers.Pages(scope, call),
            IommuTestOp.DestroyAccessPages => TestAccessHandlers.DestroyPages(scope, call),
            IommuTestOp.AccessRw => TestAccessHandlers.Rw(scope, call),
            IommuTestOp.AccessReplaceIoas => TestAccessHandlers.ReplaceIoas(scope, call),
            IommuTestOp.SetTempMemoryLimit => ValueTask.FromResult(SetTempMemoryLimit(scope.Context, cmd)),
            IommuTestOp.MdCheckIotlb => TestNestingHandlers.CheckIotlb(scope, call),
            IommuTestOp.DevCheckCache => TestNestingHandlers.CheckCache(scope, call),
            IommuTestOp.TriggerIopf => TestNestingHandlers.TriggerFault(scope, call),
            IommuTestOp.TriggerVevent => TestNestingHandlers.TriggerEvent(scope, call),
            IommuTestOp.PasidAttach => TestPasidHandlers.Attach(scope, call),
            IommuTestOp.PasidReplace => TestPasidHandlers.Replace(scope, call),
            IommuTestOp.PasidDetach => TestPasidHandlers.Detach(scope, call),
            IommuTestOp.PasidCheckHwpt => ValueTask.FromResult(TestPasidHandlers.CheckHwpt(scope, call)),
            IommuTestOp.DmabufGet => ValueTask.FromResult(DmaBufHandlers.TestGet(call)),
            IommuTestOp.DmabufRevoke => ValueTask.FromResult(DmaBufHandlers.TestRevoke(call)),
            _ => ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.UnsupportedOp, cmd.Op)),
        };
    }

    // Linux's steps of pinning need room for a page's address and a count at least.
    private static IoctlReply SetTempMemoryLimit(ContextModel context, IommuTestCmd cmd)
    {
        const uint Least = sizeof(ulong) + sizeof(uint);
        var limit = cmd.Fields.As<IommuTestMemoryLimit>().Limit;
        if (limit < Least)
        {
            return Failure.Reply(Errno.EINVAL, DiagnosticReason.InvalidOptionValue, limit, Least);
        }

        context.TempMemoryLimit = limit;
        return IoctlReply.Success;
    }

    private static async ValueTask<IoctlReply> AddReservedAsync(IoctlScope scope, IommuTestCmd cmd)
    {
        var reserved = cmd.Fields.As<IommuTestAddReserved>();
        if (IoasChecks.AddReserved(reserved.Start, reserved.Length, out var range) is var errno && errno != Errno.None)
        {
            return Failure.Reply(errno, reserved.Length == 0 ? DiagnosticReason.EmptyRange : DiagnosticReason.RangeOverflow, reserved.Start, reserved.Length);
        }

        if (scope.Context.Objects.Find<IoasEntry>(cmd.Id) is not { } ioas)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.Id);
        }

        if (scope.CheckRoom(1) is { Succeeded: false } full)
        {
            return full.ToReply();
        }

        var answer = await scope.Grains.CallAsync<IIoasGrain, IovaRange, ObjectReply>(
            ioas, range, static (grain, stamp, range) => grain.AddReservedAsync(stamp, range));
        return answer.Errno == Errno.None ? IoctlReply.Success : Failure.Of(answer, ioas);
    }
}
