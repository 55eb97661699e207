using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Selftest;

/// <summary>The ops of IOMMU_TEST_CMD that look at page tables and pins, or act as a device does.</summary>
internal static class TestDomainHandlers
{
    /// <summary>IOMMU_TEST_OP_MD_CHECK_MAP.</summary>
    public static async ValueTask<IoctlReply> CheckMap(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        var fields = cmd.Fields.As<IommuTestCheckMap>();
        if (scope.Context.Objects.Find<HwptPagingEntry>(cmd.Id) is not { } hwpt)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.Id);
        }

        var expected = ExpectedMemory.Of(call, IommuTestOp.MdCheckMap, fields.Uptr);
        var answer = await scope.Grains.CallAsync<IIoasGrain, (ObjectId Hwpt, IommuTestCheckMap Fields, ExpectedMemory Expected), ObjectReply>(
            hwpt.Ioas,
            (hwpt.Id, fields, expected),
            static (grain, stamp, argument) => grain.CheckMapAsync(stamp, argument.Hwpt, argument.Fields.Iova, argument.Fields.Length, argument.Expected));
        return answer.Errno == Errno.None ? IoctlReply.Success : Failure.Of(answer, hwpt.Ioas);
    }

    /// <summary>
    /// IOMMU_TEST_OP_MD_CHECK_REFS: a page is pinned once by all that share the same pages, in whichever IOAS, and once more for others that map it.
    /// Linux sees the pins of all contexts, here those of this one are seen.
    /// </summary>
    public static async ValueTask<IoctlReply> CheckRefs(IoctlScope scope, IoctlCommand call)
    {
        var fields = call.Read<IommuTestCmd>().Fields.As<IommuTestCheckRefs>();
        if (((fields.Length | fields.Uptr) & (PageSizes.Page - 1)) != 0 || fields.Uptr + fields.Length < fields.Length)
        {
            return new IoctlReply { Errno = Errno.EINVAL, Diagnostic = IoasDiagnostics.NoMemory(fields.Uptr, fields.Length, PageSizes.Page) };
        }

        var memory = ExpectedMemory.Of(call, IommuTestOp.MdCheckRefs, fields.Uptr);
        var readable = memory.ReadableBytes;
        if (fields.Length == 0 || readable == 0)
        {
            return fields.Length == 0 ? IoctlReply.Success : Failure.Reply(Errno.EFAULT, DiagnosticReason.BufferFault, readable, fields.Length);
        }

        var addresses = new IovaRange(fields.Uptr, fields.Uptr + (Math.Min(readable, fields.Length) - 1));
        var runs = new List<PinnedRun>();
        foreach (var ioas in scope.Context.Objects.After(0).OfType<IoasEntry>().Where(scope.Grains.WasCalled))
        {
            var pinned = await scope.Grains.CallAsync<IIoasGrain, (IovaRange Addresses, ExpectedMemory Memory), PinnedReply>(
                ioas, (addresses, memory), static (grain, stamp, argument) => grain.FindPinnedAsync(stamp, argument.Addresses, argument.Memory));
            if (pinned.Errno != Errno.None)
            {
                return Failure.Of(pinned, ioas);
            }

            runs.AddRange(pinned.Runs);
        }

        return PinCounter.FirstOther(runs, addresses, fields.Refs) is var (page, count)
            ? Failure.Reply(Errno.EIO, DiagnosticReason.UnexpectedPinCount, page, (ulong)count)
            : readable < fields.Length ? Failure.Reply(Errno.EFAULT, DiagnosticReason.BufferFault, readable, fields.Length)
            : IoctlReply.Success;
    }

    /// <summary>IOMMU_TEST_OP_DIRTY. An answer that can't be written is found out before a page is made dirty.</summary>
    public static async ValueTask<IoctlReply> Dirty(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        var fields = cmd.Fields.As<IommuTestDirty>();
        if (fields.PageSize == 0 || fields.Length == 0)
        {
            return fields.PageSize == 0
                ? Failure.Reply(Errno.EINVAL, DiagnosticReason.InvalidPageSize, fields.PageSize)
                : Failure.Reply(Errno.EINVAL, DiagnosticReason.EmptyRange);
        }

        if (fields.Iova % fields.PageSize != 0 || fields.Length % fields.PageSize != 0)
        {
            return new IoctlReply { Errno = Errno.EINVAL, Diagnostic = IoasDiagnostics.Misaligned(fields.Iova, fields.Length, fields.PageSize) };
        }

        var bitmapBytes = (((fields.Length / fields.PageSize) - 1) / 8) + 1;
        if (fields.Uptr == 0)
        {
            return Failure.Reply(Errno.EINVAL, DiagnosticReason.NoBuffer, 0, bitmapBytes);
        }

        if (scope.Context.Objects.Find<HwptPagingEntry>(cmd.Id) is not { } hwpt)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.Id);
        }

        if (!call.CanRespond<IommuTestCmd>())
        {
            return call.Respond(in cmd);
        }

        var buffer = call.Buffer(IoctlTable.TestBufferIndex(IommuTestOp.Dirty));
        var range = new DirtyRange(hwpt.Id, fields.Iova, fields.Length, fields.PageSize);
        var answer = await scope.Grains.CallAsync<IIoasGrain, (DirtyRange Range, byte[] Bitmap), ObjectReply>(
            hwpt.Ioas, (range, buffer.Content), static (grain, stamp, argument) => grain.MarkDirtyAsync(stamp, argument.Range, argument.Bitmap));
        if (answer.Errno != Errno.None)
        {
            // All of it can be read, but more than travels.
            return answer.Errno == Errno.EFAULT && buffer.ReadableBytes > (ulong)buffer.Content.Length
                ? Failure.Reply(Errno.ENOMEM, DiagnosticReason.RequestTooLarge, bitmapBytes, IoctlLimits.MaxBufferBytes)
                : Failure.Of(answer, hwpt.Ioas);
        }

        fields.OutNrDirty = answer.Value;
        cmd.Fields.Set(in fields);
        return call.Respond(in cmd);
    }
}
