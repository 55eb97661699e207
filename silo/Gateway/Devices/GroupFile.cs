using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.Silo.Gateway.Descriptors;
using IommuFd.Uapi;

namespace IommuFd.Silo.Gateway.Devices;

// Containers are contexts, as in a kernel whose /dev/vfio/vfio is iommufd's: a device that a group gives is bound to the context, and attached to its compat IOAS. As long
// as one is open, so is the group.

/// <summary>An open group, <c>/dev/vfio/N</c>. There is one such file of a group at a time.</summary>
/// <param name="contexts">What programs have open.</param>
/// <param name="group">The group.</param>
internal sealed class GroupFile(GatewayContexts contexts, DeviceGroup group) : IVfioFiles
{
    private const uint GetStatus = 0x3B67, SetContainer = 0x3B68, UnsetContainer = 0x3B69;
    private const uint Viable = 1, HasContainer = 2;
    private const int StatusBytes = 8, BindBytes = 16, AttachBytes = 12;

    private readonly SerialQueue _turns = new();
    private OpenedContext? _container;
    private IommuDriver? _reference;
    private int _users = 1;

    /// <summary>Runs an ioctl.</summary>
    /// <param name="ioctl">The ioctl.</param>
    /// <param name="named">The descriptor that the argument names, where it is the gateway's; null for another one.</param>
    /// <param name="isOpen">Whether that number is open at all.</param>
    public Task<VfioReply> IoctlAsync(VfioIoctl ioctl, Descriptor? named, bool isOpen) => _turns.RunAsync(async () => ioctl.Command switch
    {
        GetStatus => Status(ioctl),
        SetContainer => new VfioReply(ioctl.Argument.Length < sizeof(int) ? Errno.EFAULT : await SetContainerAsync(named, isOpen)),
        UnsetContainer => new VfioReply(await UnsetContainerAsync()),
        _ => new VfioReply(Errno.ENOTTY),
    });

    /// <summary>Opens a device of the group (<c>VFIO_GROUP_GET_DEVICE_FD</c>).</summary>
    /// <param name="name">Its address.</param>
    /// <returns>Its file, which is bound and attached, and its number.</returns>
    /// <exception cref="IommufdException">ENODEV: it is none of the group; EINVAL: there is no container, or the device is open; else as BIND and ATTACH answer.</exception>
    public Task<(VfioDeviceFile File, int Number)> OpenDeviceAsync(string name) => _turns.RunAsync(async () =>
    {
        var (device, number) = group.Find(name.Split(' ')[0]) ?? throw Failed(Errno.ENODEV);

        // What may follow the address is a token, which none of the devices has.
        if (name.Contains(' ', StringComparison.Ordinal) || _container is not { Context: { } context })
        {
            throw Failed(Errno.EINVAL);
        }

        var ioas = await context.GetCompatIoasAsync() ?? throw Failed(Errno.ENODEV);
        var file = device.Open();
        try
        {
            await RunAsync(file, VfioDeviceCommand.BindIommufd, new VfioDeviceBindIommufd { Argsz = BindBytes }, BindBytes);
            await RunAsync(file, VfioDeviceCommand.AttachIommufdPt, new VfioDeviceAttachIommufdPt { Argsz = AttachBytes, PtId = ioas.Value }, AttachBytes);
        }
        catch
        {
            await file.CloseAsync();
            throw;
        }

        _users++;
        return (file, number);
    });

    /// <summary>The group's own file, or one of its devices, is closed: with the last of them, so is the group.</summary>
    public Task LeaveAsync() => _turns.RunAsync(async () =>
    {
        if (--_users == 0)
        {
            await UnsetContainerAsync();
            group.Close();
        }

        return true;
    });

    /// <inheritdoc/>
    public async ValueTask<VfioFound<VfioContext>> FindContextAsync(int fileDescriptor, string driver, CancellationToken cancellationToken)
        => await ProgramFiles.FindAsync(contexts, _container!, driver, cancellationToken);

    /// <inheritdoc/>
    public VfioFound<IInterrupt> FindInterrupt(int fileDescriptor) => new(Errno.EBADF);

    private VfioReply Status(VfioIoctl ioctl)
    {
        if (ioctl.Argument.Length < StatusBytes)
        {
            return new VfioReply(Errno.EFAULT);
        }

        var argsz = BitConverter.ToUInt32(ioctl.Argument.Span);
        if (argsz < StatusBytes)
        {
            return new VfioReply(Errno.EINVAL);
        }

        var flags = _container is not null ? Viable | HasContainer : group.IsOwned ? 0 : Viable;
        return ioctl.WritableBytes < StatusBytes ? new VfioReply(Errno.EFAULT) : new VfioReply(Errno.None, 0, (byte[])[.. BitConverter.GetBytes(argsz), .. BitConverter.GetBytes(flags)]);
    }

    // The context gets a compat IOAS, if it has none (iommufd_vfio_compat_ioas_create).
    private async Task<Errno> SetContainerAsync(Descriptor? named, bool isOpen)
    {
        if (_container is not null)
        {
            return Errno.EINVAL;
        }

        if (named is not { Leads: { File: null, IsOfDevices: false }, Opened: { Context: { } context } opened })
        {
            return isOpen ? Errno.EBADFD : Errno.EBADF;
        }

        var reference = await contexts.Files.GetDriverAsync(opened, $"vfio group {group.Number}", CancellationToken.None);
        try
        {
            if (await context.GetCompatIoasAsync() is null)
            {
                await context.SetCompatIoasAsync(await context.AllocateIoasAsync());
            }
        }
        catch
        {
            await reference.DisposeAsync();
            throw;
        }

        (_container, _reference) = (opened, reference);
        return Errno.None;
    }

    private async Task<Errno> UnsetContainerAsync()
    {
        if (_reference is not { } reference)
        {
            return Errno.EINVAL;
        }

        (_container, _reference) = (null, null);
        await reference.DisposeAsync();
        return Errno.None;
    }

    private async Task RunAsync<T>(VfioDeviceFile file, VfioDeviceCommand command, T argument, int bytes)
        where T : unmanaged
    {
        var reply = await file.IoctlAsync(new VfioIoctl((uint)command, UapiStruct.ToBytes(in argument).AsMemory(0, bytes), bytes), this);
        if (reply.Errno != Errno.None)
        {
            throw Failed(reply.Errno);
        }
    }

    private static IommufdException Failed(Errno errno) => new("open", errno, null);
}
