using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Uapi;

namespace IommuFd.Grains.Selftest;

/// <summary>The ops of IOMMU_TEST_CMD that attach PASIDs of emulated devices.</summary>
internal static class TestPasidHandlers
{
    private delegate ValueTask<OperationResult> Step(IoctlScope scope, DeviceEntry device, uint pasid, uint pageTable);

    /// <summary>IOMMU_TEST_OP_PASID_ATTACH.</summary>
    public static ValueTask<IoctlReply> Attach(IoctlScope scope, IoctlCommand call) => ChangeAsync(scope, call, DeviceAttachHandlers.AttachAsync);

    /// <summary>IOMMU_TEST_OP_PASID_REPLACE.</summary>
    public static ValueTask<IoctlReply> Replace(IoctlScope scope, IoctlCommand call) => ChangeAsync(scope, call, DeviceAttachHandlers.ReplaceAsync);

    /// <summary>IOMMU_TEST_OP_PASID_DETACH: a PASID that is not attached stays so.</summary>
    public static async ValueTask<IoctlReply> Detach(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        if (scope.Context.Objects.Find<SelftestEntry>(cmd.Id) is not { Device: { } device })
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.Id);
        }

        await DeviceAttachHandlers.DetachAsync(scope, device, cmd.Fields.As<IommuTestPasidDetach>().Pasid);
        return IoctlReply.Success;
    }

    /// <summary>IOMMU_TEST_OP_PASID_CHECK_HWPT.</summary>
    public static IoctlReply CheckHwpt(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        var objects = scope.Context.Objects;
        if (objects.Find<SelftestEntry>(cmd.Id) is not { Device: { } device })
        {
            return Failure.ObjectNotFound(objects, cmd.Id);
        }

        var fields = cmd.Fields.As<IommuTestPasidCheck>();
        var expected = fields.HwptId == 0 ? null : objects.Find(fields.HwptId);
        if (expected is null && fields.HwptId != 0)
        {
            return Failure.ObjectNotFound(objects, fields.HwptId);
        }

        var actual = device.HwptAt(fields.Pasid);
        return expected is null or HwptEntry && expected == actual
            ? IoctlReply.Success
            : new IoctlReply { Errno = Errno.EINVAL, Diagnostic = Failure.Because(DiagnosticReason.UnexpectedHwpt, fields.Pasid, about: actual?.Ref ?? default) };
    }

    // An answer that can't be written is found out before anything is attached.
    private static async ValueTask<IoctlReply> ChangeAsync(IoctlScope scope, IoctlCommand call, Step step)
    {
        var cmd = call.Read<IommuTestCmd>();
        if (scope.Context.Objects.Find<SelftestEntry>(cmd.Id) is not { Device: { } device })
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.Id);
        }

        if (!call.CanRespond<IommuTestCmd>())
        {
            return call.Respond(in cmd);
        }

        var fields = cmd.Fields.As<IommuTestPasidAttach>();
        var changed = await step(scope, device, fields.Pasid, fields.PtId);
        if (!changed.Succeeded)
        {
            return changed.ToReply();
        }

        fields.PtId = changed.Id.Value;
        cmd.Fields.Set(in fields);
        return call.Respond(in cmd);
    }
}
