using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Vdevices;

/// <summary>IOMMU_VDEVICE_ALLOC, and the end of a vDevice with its device.</summary>
internal static class VdeviceHandlers
{
    /// <summary>IOMMU_VDEVICE_ALLOC.</summary>
    public static async ValueTask<IoctlReply> Alloc(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuVdeviceAlloc>();
        var objects = scope.Context.Objects;
        if (objects.Find<ViommuEntry>(cmd.ViommuId) is not { } viommu)
        {
            return Failure.ObjectNotFound(objects, cmd.ViommuId);
        }

        if (objects.Find<DeviceEntry>(cmd.DevId) is not { } device)
        {
            return Failure.ObjectNotFound(objects, cmd.DevId);
        }

        if (viommu.Iommu != IommuDriver.Of(device.Device).InstanceOf(device.Device))
        {
            return DeviceHandlers.OtherIommu(device, viommu).ToReply();
        }

        if (device.Vdevice is not null)
        {
            return OperationResult.Fail(Errno.EEXIST, DiagnosticReason.DeviceHasVdevice, device).ToReply();
        }

        if (!call.CanRespond<IommuVdeviceAlloc>())
        {
            return call.Respond(in cmd);
        }

        if (objects.Reserve((id, serial) => new VdeviceEntry(id, serial, viommu, device, cmd.VirtId)) is not { } vdevice)
        {
            return objects.NoRoom().ToReply();
        }

        var added = await scope.Grains.CallAsync<IViommuGrain, (ObjectId Vdevice, ObjectId Device, ulong VirtId), ObjectReply>(
            viommu,
            (vdevice.Id, device.Id, cmd.VirtId),
            static (grain, stamp, argument) => grain.AddVdeviceAsync(stamp, argument.Vdevice, argument.Device, argument.VirtId));
        if (added.Errno != Errno.None)
        {
            objects.Abort(vdevice);
            return Failure.Of(added, viommu);
        }

        Hold.RefToUsers(vdevice, viommu, "a device of its guest");
        device.Vdevice = vdevice;
        objects.Finalize(vdevice);
        cmd.OutVdeviceId = vdevice.Id.Value;
        return call.Respond(in cmd);
    }

    /// <summary>Ends the vDevice of a device that is unbound (<c>iommufd_device_pre_destroy</c>). Its id stays taken.</summary>
    public static async ValueTask EndWithDeviceAsync(IoctlScope scope, DeviceEntry device)
    {
        if (device.Vdevice is not { } vdevice)
        {
            return;
        }

        device.Vdevice = null;
        await scope.Grains.DestroyAsync(vdevice);
        scope.Remove(vdevice, leaveTombstone: true);
    }
}
