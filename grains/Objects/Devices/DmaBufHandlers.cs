using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

// A dma-buf lives with its exporter, on the caller's side: it is no object of a context, and outlives the context that an ioctl made it in. Here is what IOASes map of it.

/// <summary>What becomes of dma-bufs.</summary>
internal static class DmaBufHandlers
{
    // iommufd_test_dmabuf_get: one kmalloc.
    private const uint MaxSelftestPages = 512;

    /// <summary>An exporter has revoked a dma-buf.</summary>
    public static async ValueTask<DriverReply> RevokeAsync(IoctlScope scope, ContextReference driver, RevokeDmaBufRequest request)
    {
        // An IOAS whose grain was never called has no mapping.
        foreach (var ioas in scope.Context.Objects.After(0).Where(entry => entry.Type == ObjectType.Ioas && scope.Grains.WasCalled(entry)))
        {
            var answer = await scope.Grains.CallAsync<IIoasGrain, string, ObjectReply>(ioas, request.Identity, static (grain, stamp, identity) => grain.RevokeAsync(stamp, identity));
            if (answer.Errno != Errno.None)
            {
                return OperationResult.Of(answer, ioas).ToDriverReply();
            }
        }

        return new DriverReply(Errno.None);
    }

    /// <summary>IOMMU_TEST_OP_DMABUF_GET. The caller's side makes the dma-buf, and names it.</summary>
    public static IoctlReply TestGet(IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        var length = cmd.Fields.As<IommuTestDmabufGet>().Length;
        var pages = (length + (PageSizes.Page - 1)) / PageSizes.Page;
        return pages == 0 ? Failure.Reply(Errno.EINVAL, DiagnosticReason.EmptyRange)
            : pages > MaxSelftestPages ? Failure.Reply(Errno.EINVAL, DiagnosticReason.RequestTooLarge, length, MaxSelftestPages * PageSizes.Page)
            : new IoctlReply
            {
                File = new NewFile(new UserFile("", IsMemfd: false, pages * PageSizes.Page) { DmaBuf = new UserDmaBuf(DmaBufState.Mappable, IsOfSelftest: true) }),
            };
    }

    /// <summary>IOMMU_TEST_OP_DMABUF_REVOKE: says whether it may be; the caller's side, where the dma-buf is, revokes it before the program has the answer.</summary>
    public static IoctlReply TestRevoke(IoctlCommand call) => call.File switch
    {
        null => Failure.Reply(Errno.EBADF, DiagnosticReason.FileNotOpen),
        { DmaBuf: null } => Failure.Reply(Errno.EINVAL, DiagnosticReason.NotSelftestDmaBuf),
        { DmaBuf.IsOfSelftest: false } => Failure.Reply(Errno.EOPNOTSUPP, DiagnosticReason.NotSelftestDmaBuf),
        _ => IoctlReply.Success,
    };
}
