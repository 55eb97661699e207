using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Vdevices;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

// Binding makes a device object, which its driver holds from then on. To attach it is in DeviceAttachHandlers.

/// <summary>Devices: what their drivers do to bind them, and the commands that read their hardware.</summary>
internal static class DeviceHandlers
{
    public const string BoundWhy = "bound device";

    /// <summary><c>iommufd_device_bind</c>: the device is visible, and held by its driver, when this answers.</summary>
    /// <param name="scope">The context.</param>
    /// <param name="driver">Who binds it.</param>
    /// <param name="description">The device; anything that a client may send.</param>
    /// <param name="why">What the driver's hold is for.</param>
    public static OperationResult Bind(IoctlScope scope, HoldOwner driver, DeviceDescription? description, string why = BoundWhy)
    {
        if (description is null || !description.IsSound())
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.InvalidDevice);
        }

        if (IommuDriver.Find(description.Iommu) is not { } iommu)
        {
            return OperationResult.Fail(Errno.ENODEV, DiagnosticReason.UnknownIommu);
        }

        // Programs could not restore the coherency of caches.
        if (!iommu.IsCacheCoherent(description))
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.NotCacheCoherent);
        }

        var group = scope.Context.Shared<DeviceGroups>().Of(description);
        if (scope.Context.Objects.Reserve((id, serial) => new DeviceEntry(id, serial, description, group)) is not { } device)
        {
            scope.Context.Shared<DeviceGroups>().Remove(group);
            return scope.Context.Objects.NoRoom();
        }

        group.Bound.Add(device);
        device.DriverHold = Hold.RefToUsers(driver, device, why);
        scope.Context.Objects.Finalize(device);
        return new OperationResult(Errno.None, device.Id);
    }

    /// <summary><c>iommufd_device_unbind</c>: only the driver holds a device, so this can't fail.</summary>
    public static async ValueTask UnbindAsync(IoctlScope scope, DeviceEntry device)
    {
        foreach (var pasid in device.AttachedPasids.ToArray())
        {
            await DeviceAttachHandlers.DetachAsync(scope, device, pasid);
        }

        await VdeviceHandlers.EndWithDeviceAsync(scope, device);
        device.DriverHold?.Drop();
        device.DriverHold = null;
        device.Group.Bound.Remove(device);
        scope.Context.Shared<DeviceGroups>().Remove(device.Group);
        await scope.EndAsync(device);
    }

    /// <summary>IOMMU_GET_HW_INFO.</summary>
    public static async ValueTask<IoctlReply> GetHwInfo(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuHwInfo>();
        if ((cmd.Flags & ~(uint)IommuHwInfoFlags.InputType) is not 0 and var unknown)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, unknown);
        }

        if ((cmd.Reserved0 | cmd.Reserved1 | cmd.Reserved2) != 0)
        {
            return Failure.Unsupported(DiagnosticReason.ReservedNotZero, (ulong)(cmd.Reserved0 != 0 ? cmd.Reserved0 : cmd.Reserved1 != 0 ? cmd.Reserved1 : cmd.Reserved2));
        }

        if (scope.Context.Objects.Find<DeviceEntry>(cmd.DevId) is not { } device)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.DevId);
        }

        // Without the flag the field only answers.
        var type = ((IommuHwInfoFlags)cmd.Flags).HasFlag(IommuHwInfoFlags.InputType) ? (IommuHwInfoType)cmd.OutDataType : IommuHwInfoType.Default;
        var info = await scope.Grains.CallAsync<IDeviceGrain, IommuHwInfoType, HwInfoReply>(
            device, type, static (grain, stamp, type) => grain.HwInfoAsync(stamp, type));
        if (info.Errno != Errno.None)
        {
            return Failure.Of(info, device);
        }

        var rest = WriteInfo(cmd, info.Data, call.Buffer(0).WritableBytes);
        if (rest.Errno != Errno.None)
        {
            return rest;
        }

        cmd.DataLen = (uint)info.Data.Length;
        cmd.OutDataType = (uint)info.Type;
        cmd.OutMaxPasidLog2 = (byte)IommuDriver.Of(device.Device).PasidWidth(device.Device);
        cmd.OutCapabilities = (ulong)info.Capabilities;
        return call.Respond(in cmd, rest);
    }

    /// <summary>Whether a guest's page tables or vIOMMU, for a device, can nest on a HWPT.</summary>
    public static OperationResult CheckNestParent(HwptPagingEntry hwpt, DeviceEntry device)
        => !hwpt.Flags.HasFlag(IommuHwptAllocFlags.NestParent) ? OperationResult.Fail(Errno.EINVAL, DiagnosticReason.NotNestParent, hwpt)
            : hwpt.Iommu != IommuDriver.Of(device.Device).InstanceOf(device.Device) ? OtherIommu(device, hwpt)
            : default;

    /// <summary>EINVAL: a device is behind another IOMMU than an object.</summary>
    public static OperationResult OtherIommu(DeviceEntry device, ObjectEntry other)
        => new(Errno.EINVAL, default, Failure.Because(DiagnosticReason.OtherIommu, other.Id.Value, about: device.Ref));

    public static DeviceState Describe(DeviceEntry device) => new(device.Device, device.DriverName, device.Hwpt?.Id ?? default)
    {
        DmaFaults = device.DmaFaults,
        LastDmaFault = device.LastDmaFault,
    };

    // As much of the data as there is room for, and zeros where there is more room: a program with a newer struct finds those.
    private static IoctlReply WriteInfo(IommuHwInfo cmd, byte[] data, ulong writableBytes)
    {
        if (cmd.DataLen == 0)
        {
            return IoctlReply.Success;
        }

        var copied = (int)Math.Min(cmd.DataLen, (uint)data.Length);
        var fits = writableBytes >= cmd.DataLen;
        return new IoctlReply
        {
            Errno = fits ? Errno.None : Errno.EFAULT,
            Buffers = [new UserBufferWrite(cmd.DataUptr, data[..copied]) { ZeroBytes = cmd.DataLen - (uint)copied }],
            Diagnostic = fits ? null : Failure.Because(DiagnosticReason.BufferFault, writableBytes, cmd.DataLen),
        };
    }
}
