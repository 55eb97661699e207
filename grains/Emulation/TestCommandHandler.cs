using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Emulation;

/// <summary>IOMMU_TEST_CMD: what the kernel's selftest does to a context from the driver's side.</summary>
internal static class TestCommandHandler
{
    public static ValueTask<IoctlReply> Run(IoctlScope scope, IoctlCall call)
    {
        var cmd = call.Read<IommuTestCmd>();
        return (IommuTestOp)cmd.Op switch
        {
            IommuTestOp.AddReserved => AddReservedAsync(scope, cmd),
            _ => ValueTask.FromResult(Failure.Unsupported(DiagnosticReason.UnsupportedOp, cmd.Op)),
        };
    }

    private static async ValueTask<IoctlReply> AddReservedAsync(IoctlScope scope, IommuTestCmd cmd)
    {
        var (start, length) = (cmd.Fields[0], cmd.Fields[1]);
        if (IoasModel.CheckAddReserved(start, length, out var range) is var errno && errno != Errno.None)
        {
            return Failure.Reply(errno, length == 0 ? DiagnosticReason.EmptyRange : DiagnosticReason.RangeOverflow, start, length);
        }

        if (scope.Context.Objects.Find(cmd.Id, ObjectType.Ioas) is not { } ioas)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.Id);
        }

        var answer = await scope.Grains.CallAsync<IIoasGrain, IovaRange, ObjectReply>(
            ioas, range, static (grain, stamp, range) => grain.AddReservedAsync(stamp, range));
        return answer.Errno == Errno.None ? IoctlReply.Success : Failure.Of(answer, ioas);
    }
}
