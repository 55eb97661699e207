using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>ATTACH and DETACH, of a device and of its PASIDs. In the device's queue.</summary>
internal static class VfioAttach
{
    /// <summary>VFIO_DEVICE_ATTACH_IOMMUFD_PT: an attached device, or PASID, is moved. Answers the HWPT.</summary>
    public static async Task<VfioReply> AttachAsync(VfioBinding binding, VfioIoctl ioctl)
    {
        var errno = Check(ioctl, VfioDeviceCommand.AttachIommufdPt, out VfioDeviceAttachIommufdPt attach, static attach => (attach.Argsz, attach.Flags));
        if (errno != Errno.None)
        {
            return new VfioReply(errno);
        }

        var hasPasid = ((VfioAttachFlags)attach.Flags).HasFlag(VfioAttachFlags.Pasid);
        if (hasPasid && attach.Pasid > int.MaxValue)
        {
            return new VfioReply(Errno.ENOSPC);
        }

        try
        {
            var (device, pageTable) = (binding.Device, new ObjectId(attach.PtId));
            var pasid = hasPasid ? attach.Pasid : 0;
            var isAttached = hasPasid ? binding.Pasids.Contains(pasid) : binding.IsAttached;
            var hwpt = isAttached ? await device.ReplaceAsync(pageTable, pasid) : await device.AttachAsync(pageTable, pasid);
            attach.PtId = hwpt.Value;
            _ = hasPasid ? binding.Pasids.Add(pasid) : binding.IsAttached = true;

            // What was translated by the page table before is copied by then.
            await (isAttached ? binding.Context.Fence.DrainAsync() : Task.CompletedTask);
        }
        catch (IommufdException exception)
        {
            return new VfioReply(exception.Errno);
        }

        var reply = VfioCopy.Back(ioctl, UapiStruct.ToBytes(in attach).AsSpan(0, VfioArgument.LeastOf(VfioDeviceCommand.AttachIommufdPt)));
        if (reply.Errno != Errno.None)
        {
            await DetachDeviceAsync(binding);
        }

        return reply;
    }

    /// <summary>VFIO_DEVICE_DETACH_IOMMUFD_PT: what is not attached is detached.</summary>
    public static async Task<VfioReply> DetachAsync(VfioBinding binding, VfioIoctl ioctl)
    {
        var errno = Check(ioctl, VfioDeviceCommand.DetachIommufdPt, out VfioDeviceDetachIommufdPt detach, static detach => (detach.Argsz, detach.Flags));
        if (errno != Errno.None)
        {
            return new VfioReply(errno);
        }

        if (!((VfioAttachFlags)detach.Flags).HasFlag(VfioAttachFlags.Pasid))
        {
            await DetachDeviceAsync(binding);
        }
        else if (binding.Pasids.Remove(detach.Pasid))
        {
            await DetachAsync(binding, detach.Pasid);
        }

        return default;
    }

    private static async Task DetachDeviceAsync(VfioBinding binding)
    {
        if (binding.IsAttached)
        {
            binding.IsAttached = false;
            await DetachAsync(binding, 0);
        }
    }

    // Detaching never fails for what is attached; PASID 0 may have been detached as the device itself.
    private static async Task DetachAsync(VfioBinding binding, uint pasid)
    {
        try
        {
            await binding.Device.DetachAsync(pasid);
            await binding.Context.Fence.DrainAsync();
        }
        catch (IommufdException exception) when (exception.Errno == Errno.EINVAL)
        {
        }
    }

    private static Errno Check<T>(VfioIoctl ioctl, VfioDeviceCommand command, out T argument, Func<T, (uint Argsz, uint Flags)> header)
        where T : unmanaged
    {
        var errno = VfioCopy.In(ioctl, command, out argument);
        if (errno != Errno.None)
        {
            return errno;
        }

        var (argsz, flags) = header(argument);
        if (argsz < VfioArgument.LeastOf(command) || (flags & ~(uint)VfioAttachFlags.Pasid) != 0)
        {
            return Errno.EINVAL;
        }

        return flags == 0 ? Errno.None : argsz < Unsafe.SizeOf<T>() ? Errno.EINVAL : VfioCopy.Read(ioctl, Unsafe.SizeOf<T>(), out argument);
    }
}
