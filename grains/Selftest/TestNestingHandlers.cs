using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.NestedHwpts;
using IommuFd.Grains.Objects.Veventqs;
using IommuFd.Uapi;

namespace IommuFd.Grains.Selftest;

/// <summary>The ops of IOMMU_TEST_CMD that look at caches, or report what devices of a guest report.</summary>
internal static class TestNestingHandlers
{
    /// <summary>IOMMU_TEST_OP_MD_CHECK_IOTLB.</summary>
    public static async ValueTask<IoctlReply> CheckIotlb(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        if (scope.Context.Objects.Find<HwptNestedEntry>(cmd.Id) is not { } hwpt)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.Id);
        }

        var answer = await scope.Grains.CallAsync<INestedHwptGrain, IommuTestCheckIotlb, ObjectReply>(
            hwpt, cmd.Fields.As<IommuTestCheckIotlb>(), static (grain, stamp, check) => grain.CheckIotlbAsync(stamp, check.Id, check.Iotlb));
        return answer.Errno == Errno.None ? IoctlReply.Success : Failure.Of(answer, hwpt);
    }

    /// <summary>IOMMU_TEST_OP_DEV_CHECK_CACHE.</summary>
    public static async ValueTask<IoctlReply> CheckCache(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        if (scope.Context.Objects.Find<DeviceEntry>(cmd.Id) is not { } device)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.Id);
        }

        var answer = await scope.Grains.CallAsync<IDeviceGrain, IommuTestCheckDevCache, ObjectReply>(
            device, cmd.Fields.As<IommuTestCheckDevCache>(), static (grain, stamp, check) => grain.CheckCacheAsync(stamp, check.Id, check.Cache));
        return answer.Errno == Errno.None ? IoctlReply.Success : Failure.Of(answer, device);
    }

    /// <summary>IOMMU_TEST_OP_TRIGGER_IOPF: a group of one page fault.</summary>
    public static async ValueTask<IoctlReply> TriggerFault(IoctlScope scope, IoctlCommand call)
    {
        var fields = call.Read<IommuTestCmd>().Fields.As<IommuTestTriggerIopf>();
        if (scope.Context.Objects.Find<DeviceEntry>(fields.DevId) is not { } device)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, fields.DevId);
        }

        var fault = new IommuHwptPgfault { Pasid = fields.Pasid, Grpid = fields.Grpid, Perm = fields.Perm, Addr = fields.Addr };
        return (await DeviceFaultHandlers.ReportAsync(scope, device, [fault])).ToReply();
    }

    /// <summary>IOMMU_TEST_OP_TRIGGER_VEVENT.</summary>
    public static async ValueTask<IoctlReply> TriggerEvent(IoctlScope scope, IoctlCommand call)
    {
        var id = call.Read<IommuTestCmd>().Fields.As<IommuTestTriggerVevent>().DevId;
        if (scope.Context.Objects.Find<DeviceEntry>(id) is not { } device)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, id);
        }

        return (await VeventqHandlers.ReportAsync(scope, device, null)).ToReply();
    }
}
