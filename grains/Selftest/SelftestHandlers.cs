using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Uapi;

namespace IommuFd.Grains.Selftest;

/// <summary>IOMMU_TEST_CMD's emulated devices: made, bound and attached by one ioctl, and undone by destroying their owner.</summary>
internal static class SelftestHandlers
{
    private const IommuTestDeviceFlags KnownFlags = IommuTestDeviceFlags.NoDirty | IommuTestDeviceFlags.Pasid;

    // Devices with the same flags have one description: there can be very many, and their ids tell them apart.
    private static readonly DeviceDescription[] MockDevices = [.. Enumerable.Range(0, (int)KnownFlags + 1).Select(flags => Describe((IommuTestDeviceFlags)flags))];

    /// <summary>IOMMU_TEST_OP_MOCK_DOMAIN and _MOCK_DOMAIN_FLAGS.</summary>
    public static async ValueTask<IoctlReply> MockDomain(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        var fields = cmd.Fields.As<IommuTestMockDomain>();
        var objects = scope.Context.Objects;
        if (objects.Reserve(static (id, serial) => new SelftestEntry(id, serial)) is not { } selftest)
        {
            return objects.NoRoom().ToReply();
        }

        var flags = cmd.Op == (uint)IommuTestOp.MockDomainFlags ? (IommuTestDeviceFlags)fields.DevFlags : IommuTestDeviceFlags.None;
        var attached = await BindAndAttachAsync(scope, selftest, flags, cmd.Id);
        if (!attached.Succeeded)
        {
            objects.AbortAndDestroy(selftest);
            return attached.ToReply();
        }

        fields.OutStdevId = selftest.Id.Value;
        fields.OutHwptId = attached.Id.Value;
        fields.OutIdevId = selftest.Device!.Id.Value;
        cmd.Fields.Set(in fields);
        var reply = call.Respond(in cmd);
        if (reply.Errno != Errno.None)
        {
            await UnbindAsync(scope, selftest);
            objects.AbortAndDestroy(selftest);
            return reply;
        }

        objects.Finalize(selftest);
        return reply;
    }

    /// <summary>IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE. An answer that can't be written is found out before anything is replaced.</summary>
    public static async ValueTask<IoctlReply> Replace(IoctlScope scope, IoctlCommand call)
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

        var replaced = await DeviceAttachHandlers.ReplaceAsync(scope, device, DeviceGroup.NoPasid, cmd.Fields.As<IommuTestMockDomainReplace>().PtId);
        if (!replaced.Succeeded)
        {
            return replaced.ToReply();
        }

        cmd.Fields.Set(new IommuTestMockDomainReplace { PtId = replaced.Id.Value });
        return call.Respond(in cmd);
    }

    /// <summary>Detaches and unbinds the device, before its owner goes.</summary>
    public static ValueTask UnbindAsync(IoctlScope scope, SelftestEntry selftest)
    {
        if (selftest.Device is not { } device)
        {
            return ValueTask.CompletedTask;
        }

        selftest.Device = null;
        return DeviceHandlers.UnbindAsync(scope, device);
    }

    private static DeviceDescription Describe(IommuTestDeviceFlags flags) => new()
    {
        Name = "iommufd_mock",
        TracksDirtyPages = !flags.HasFlag(IommuTestDeviceFlags.NoDirty),
        PasidWidth = flags.HasFlag(IommuTestDeviceFlags.Pasid) ? DeviceDescription.MaxPasidWidth : 0,
    };

    private static async ValueTask<OperationResult> BindAndAttachAsync(IoctlScope scope, SelftestEntry selftest, IommuTestDeviceFlags flags, uint pageTable)
    {
        if ((flags & ~KnownFlags) != 0)
        {
            return new OperationResult(Errno.EINVAL, default, Failure.Because(DiagnosticReason.UnsupportedFlags, (uint)(flags & ~KnownFlags)));
        }

        var bound = DeviceHandlers.Bind(scope, selftest, MockDevices[(int)flags]);
        if (!bound.Succeeded)
        {
            return bound;
        }

        selftest.Device = scope.Context.Objects.Find<DeviceEntry>(bound.Id.Value)!;
        var attached = await DeviceAttachHandlers.AttachAsync(scope, selftest.Device, DeviceGroup.NoPasid, pageTable);
        if (!attached.Succeeded)
        {
            await UnbindAsync(scope, selftest);
        }

        return attached;
    }
}
