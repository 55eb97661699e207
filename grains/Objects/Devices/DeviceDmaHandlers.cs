using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.FaultQueues;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

// What the IOMMU does with an access of a device: it translates all of it, or none. A translation that changes nothing is not journaled, one that makes clean
// pages dirty is, and so is a fault, since it is counted and may be reported: such an answer has a DmaReply, which is what the rule of the requests looks at.
//
// What the device copies afterwards, it must have copied before an unmap is answered: the host of the device ensures that, since it alone has the memory.

/// <summary>Accesses of devices to memory.</summary>
internal static class DeviceDmaHandlers
{
    // Of a page fault, the address is that of the page.
    private const ulong PageSize = 4096;

    /// <summary>Finds the memory behind the IOVAs of an access.</summary>
    public static async ValueTask<DriverReply> TranslateAsync(IoctlScope scope, DeviceEntry device, TranslateRequest request)
    {
        if (CheckRanges(request.Ranges) is { } invalid)
        {
            return invalid;
        }

        if (device.HwptAt(request.Pasid) is not { } hwpt)
        {
            var diagnostic = Failure.Because(DiagnosticReason.DeviceNotAttached, request.Pasid, about: device.Ref);
            return Fault(device, request, Errno.EINVAL, request.Ranges[0].Iova, diagnostic);
        }

        if (hwpt.IsNested)
        {
            return Fault(device, request, Errno.EOPNOTSUPP, request.Ranges[0].Iova, Failure.Because(DiagnosticReason.GuestTranslation, about: hwpt.Ref));
        }

        if (request.IsMemoryGone)
        {
            var iova = request.Ranges[0].Iova;
            return Fault(device, request, Errno.EFAULT, iova, Failure.Because(DiagnosticReason.MemoryGone, iova, about: hwpt.Ioas.Ref));
        }

        var access = new DmaAccess(hwpt.Id, request.Ranges, request.Write);
        var translated = await scope.Grains.CallAsync<IIoasGrain, DmaAccess, TranslationReply>(
            hwpt.Ioas, access, static (grain, stamp, access) => grain.TranslateAsync(stamp, access));
        return translated.Errno switch
        {
            Errno.None => new DriverReply(
                Errno.None,
                Memory: IoasPinningHandlers.MemoryOf(translated.Slices),
                Dma: translated.DirtiedPages > 0 ? new DmaReply(translated.DirtiedPages) : null),
            Errno.ENOENT or Errno.EPERM or Errno.EOVERFLOW => await ReportAsync(scope, device, request, hwpt, translated),
            _ => OperationResult.Of(translated, hwpt.Ioas).ToDriverReply(),
        };
    }

    /// <summary>Takes the response to a page fault of an access.</summary>
    public static async ValueTask<DriverReply> TakeResponseAsync(IoctlScope scope, DeviceEntry device, TakeFaultResponseRequest request)
    {
        if (device.HwptAt(request.Pasid)?.FaultQueue is not { } queue)
        {
            return new DriverReply(Errno.ENOENT, Diagnostic: Failure.Because(DiagnosticReason.NoFaultResponse, request.Group, about: device.Ref));
        }

        var taken = await FaultQueueHandlers.TakeResponseAsync(scope, queue, device.Id, request.Group);
        return taken.Errno switch
        {
            Errno.None => new DriverReply(Errno.None, Dma: new DmaReply(0, Response: (IommuPageResponseCode)taken.Value)),
            Errno.EAGAIN or Errno.ENOENT => new DriverReply(taken.Errno, Diagnostic: Failure.Because(DiagnosticReason.NoFaultResponse, request.Group, about: device.Ref)),
            _ => OperationResult.Of(taken, queue).ToDriverReply(),
        };
    }

    private static DriverReply? CheckRanges(DmaRange[]? ranges)
    {
        if (ranges is not { Length: > 0 and <= IoctlLimits.MaxDmaRanges } || Array.Exists(ranges, range => range.Length == 0))
        {
            return new DriverReply(Errno.EINVAL, Diagnostic: Failure.Because(DiagnosticReason.InvalidDmaRanges, (ulong)(ranges?.Length ?? 0), IoctlLimits.MaxDmaRanges));
        }

        var bytes = ranges.Aggregate(UInt128.Zero, (sum, range) => sum + range.Length);
        return bytes <= IoctlLimits.MaxAccessBytes
            ? null
            : new DriverReply(Errno.ENOMEM, Diagnostic: Failure.Because(DiagnosticReason.RequestTooLarge, (ulong)UInt128.Min(bytes, ulong.MaxValue), IoctlLimits.MaxAccessBytes));
    }

    private static async ValueTask<DriverReply> ReportAsync(IoctlScope scope, DeviceEntry device, TranslateRequest request, HwptEntry hwpt, TranslationReply failed)
    {
        var reply = Fault(device, request, failed.Errno, failed.Fault, Failure.Explain(failed.Diagnostic, hwpt.Ioas));

        // No page can ever be behind the last IOVA.
        if (failed.Errno == Errno.EOVERFLOW)
        {
            return reply;
        }

        var fault = new PageFault(failed.Fault & ~(PageSize - 1), request.Write ? IommuPgfaultPerm.Write : IommuPgfaultPerm.Read, request.Group, request.Pasid);
        return await DeviceFaultHandlers.TryReportAccessAsync(scope, device, fault) ? reply with { Dma = new DmaReply(0, IsReported: true) } : reply;
    }

    private static DriverReply Fault(DeviceEntry device, TranslateRequest request, Errno errno, ulong iova, IoctlDiagnostic diagnostic)
    {
        device.NoteDmaFault(new DmaFault(errno, iova, request.Write, request.Pasid));
        return new DriverReply(errno, Diagnostic: diagnostic, Dma: new DmaReply(0));
    }
}
