using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

// The order of checks is the kernel's: the bytes that a command always reads, then argsz, then flags, then the state of the file. What is copied back and can't be
// written undoes what was done.

/// <summary>
/// An open file of a device, <c>/dev/vfio/devices/vfioN</c>. Before BIND, everything else is EINVAL. Closing it detaches and unbinds the device. Thread-safe.
/// </summary>
public sealed class VfioDeviceFile : IAsyncDisposable
{
    private readonly VfioDevice _device;
    private readonly TimeProvider? _time;
    private readonly Lock _lock = new();
    private readonly VfioInfo _info;
    private readonly VfioInterruptSetter _interrupts;
    private VfioBinding? _binding;
    private DevicePoller? _poller;
    private bool _isClosed;

    internal VfioDeviceFile(VfioDevice device, TimeProvider? time)
    {
        (_device, _time) = (device, time);
        _info = new VfioInfo(device);
        _interrupts = new VfioInterruptSetter(device.Function);
    }

    /// <summary>The device.</summary>
    public VfioDevice Device => _device;

    /// <summary>Whether the file has bound the device.</summary>
    public bool IsBound => Volatile.Read(ref _binding) is not null;

    /// <summary>Runs an ioctl.</summary>
    /// <param name="ioctl">The ioctl.</param>
    /// <param name="files">What the caller's descriptors lead to.</param>
    /// <param name="cancellationToken">Gives it up before it has begun.</param>
    /// <returns>The answer.</returns>
    /// <exception cref="IommufdTransportException">The context did not answer.</exception>
    public async ValueTask<VfioReply> IoctlAsync(VfioIoctl ioctl, IVfioFiles files, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        if (ioctl.Command == (uint)VfioDeviceCommand.BindIommufd)
        {
            return await BindAsync(ioctl, files, cancellationToken);
        }

        if (Volatile.Read(ref _binding) is not { } binding)
        {
            return new VfioReply(Errno.EINVAL);
        }

        _device.LowPower.Wake();
        return (VfioDeviceCommand)ioctl.Command switch
        {
            VfioDeviceCommand.AttachIommufdPt => await _device.RunAsync(() => VfioAttach.AttachAsync(binding, ioctl)),
            VfioDeviceCommand.DetachIommufdPt => await _device.RunAsync(() => VfioAttach.DetachAsync(binding, ioctl)),
            VfioDeviceCommand.GetPciHotResetInfo => _info.HotReset(ioctl, binding),
            VfioDeviceCommand.PciHotReset => await HotResetAsync(ioctl, binding),
            VfioDeviceCommand.Reset => await ResetAsync(_device),
            VfioDeviceCommand.Feature => await FeatureAsync(ioctl, files),
            var command => await _device.Function.Loop.RunAsync(() => Run(command, ioctl, files)),
        };
    }

    /// <summary>Reads a region (<c>pread</c>).</summary>
    /// <param name="offset">The region's index in bits 40 and above, and the first byte in it.</param>
    /// <param name="destination">The buffer for the bytes.</param>
    /// <returns>How many were read.</returns>
    public async ValueTask<VfioReply> ReadAsync(ulong offset, Memory<byte> destination)
    {
        if (!IsBound)
        {
            return new VfioReply(Errno.EINVAL);
        }

        _device.LowPower.Wake();
        return await _device.Function.Loop.RunAsync(() => VfioRegions.Read(_device.Function, offset, destination.Span));
    }

    /// <summary>Writes a region (<c>pwrite</c>).</summary>
    /// <param name="offset">The region's index in bits 40 and above, and the first byte in it.</param>
    /// <param name="source">The bytes.</param>
    /// <returns>How many were written.</returns>
    public async ValueTask<VfioReply> WriteAsync(ulong offset, ReadOnlyMemory<byte> source)
    {
        if (!IsBound)
        {
            return new VfioReply(Errno.EINVAL);
        }

        _device.LowPower.Wake();
        var reply = await _device.Function.Loop.RunAsync(() => VfioRegions.Write(_device.Function, offset, source.Span));
        if (VfioRegions.IsConfig(offset))
        {
            // Memory decode may be off now, or the function reset.
            await _device.Exports.UpdateAsync();
        }

        return reply;
    }

    /// <summary>Finds the memory to map (<c>mmap</c>). From then on the device looks for stores, until the file is closed.</summary>
    /// <param name="offset">The region's index in bits 40 and above, and the first byte in it: a multiple of the page size.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="isShared">Whether stores are to reach the device; a private mapping can't be made.</param>
    /// <returns>The memory.</returns>
    public VfioMapping Map(ulong offset, ulong length, bool isShared)
    {
        if (!IsBound)
        {
            return new VfioMapping(Errno.EINVAL);
        }

        var mapping = VfioRegions.Map(_device.Function, offset, length, isShared);
        if (mapping.Errno == Errno.None)
        {
            LookForStores();
        }

        return mapping;
    }

    private void LookForStores()
    {
        lock (_lock)
        {
            _poller ??= _isClosed ? null : new DevicePoller(_device.Function, _time);
        }
    }

    /// <summary>Closes the file: the device is reset, detached and unbound, if the file has bound it.</summary>
    /// <returns>Completes when the device is free.</returns>
    public async Task CloseAsync()
    {
        DevicePoller? poller;
        lock (_lock)
        {
            if (_isClosed)
            {
                return;
            }

            (_isClosed, poller) = (true, _poller);
        }

        if (poller is not null)
        {
            await poller.DisposeAsync();
        }

        await _device.RunAsync(async () =>
        {
            if (Interlocked.Exchange(ref _binding, null) is { } binding)
            {
                await _device.Function.Loop.RunAsync(_interrupts.Clear);
                await _device.UnbindAsync();
                await binding.Context.Driver.DisposeAsync();
            }

            return true;
        });
    }

    /// <summary>Closes the file.</summary>
    /// <returns>Completes when the device is free.</returns>
    public async ValueTask DisposeAsync() => await CloseAsync();

    private VfioReply Run(VfioDeviceCommand command, VfioIoctl ioctl, IVfioFiles files)
    {
        switch (command)
        {
            case VfioDeviceCommand.GetInfo:
                return VfioInfo.Device(ioctl);
            case VfioDeviceCommand.GetRegionInfo:
                return _info.Region(ioctl);
            case VfioDeviceCommand.GetIrqInfo:
                return _info.Irq(ioctl);
            case VfioDeviceCommand.SetIrqs:
                return _interrupts.Set(ioctl, files);
            default:
                return new VfioReply(Errno.ENOTTY);
        }
    }

    private async Task<VfioReply> BindAsync(VfioIoctl ioctl, IVfioFiles files, CancellationToken cancellationToken)
    {
        var checkedArgument = VfioBind.Check(ioctl, out var bind);
        if (checkedArgument != Errno.None)
        {
            return new VfioReply(checkedArgument);
        }

        return await _device.RunAsync(async () =>
        {
            if (_binding is not null || _isClosed || ((VfioBindFlags)bind.Flags).HasFlag(VfioBindFlags.Token))
            {
                return new VfioReply(Errno.EINVAL);
            }

            var found = await files.FindContextAsync(bind.Iommufd, $"vfio-pci {_device.Address}", cancellationToken);
            return found.Value is { } context ? await BindAsync(context, ioctl, bind, cancellationToken) : new VfioReply(found.Errno);
        });
    }

    private async Task<VfioReply> BindAsync(VfioContext context, VfioIoctl ioctl, VfioDeviceBindIommufd bind, CancellationToken cancellationToken)
    {
        var isBound = false;
        try
        {
            var bound = await _device.BindAsync(context, _time, cancellationToken);
            if (bound.Value is not { } binding)
            {
                return new VfioReply(bound.Errno);
            }

            bind.OutDevId = binding.Device.Id.Value;
            var reply = VfioCopy.Back(ioctl, UapiStruct.ToBytes(in bind).AsSpan(0, VfioArgument.LeastOf(VfioDeviceCommand.BindIommufd)));
            if (reply.Errno != Errno.None)
            {
                await _device.UnbindAsync();
                return reply;
            }

            isBound = true;
            Volatile.Write(ref _binding, binding);
            return reply;
        }
        finally
        {
            if (!isBound)
            {
                await context.Driver.DisposeAsync();
            }
        }
    }

    // A file of a context resets the slot without naming groups, where the context owns all of its devices.
    private async Task<VfioReply> HotResetAsync(VfioIoctl ioctl, VfioBinding binding)
    {
        var errno = VfioCopy.In(ioctl, VfioDeviceCommand.PciHotReset, out VfioPciHotResetInfo header);
        if (errno != Errno.None)
        {
            return new VfioReply(errno);
        }

        if (header.Argsz < Unsafe.SizeOf<VfioPciHotResetInfo>() || header.Flags != 0 || header.Count != 0)
        {
            return new VfioReply(Errno.EINVAL);
        }

        var slot = _device.Machine.Slot(_device);
        if (!slot.All(other => _device.Machine.Owns(other.Group, binding.Context.Driver.Handle)))
        {
            return new VfioReply(Errno.EINVAL);
        }

        foreach (var other in slot)
        {
            await ResetAsync(other);
        }

        return default;
    }

    private static async Task<VfioReply> ResetAsync(VfioDevice device)
    {
        await device.Function.Loop.RunAsync(() => VfioReset.Run(device.Function));
        await device.Exports.UpdateAsync();
        return default;
    }

    // Other devices store to what it has exported as programs do to what they map.
    private async Task<VfioReply> FeatureAsync(VfioIoctl ioctl, IVfioFiles files)
    {
        var reply = await _device.Function.Loop.RunAsync(() => VfioFeatures.Run(_device, ioctl, files));
        if (reply.DmaBuf is not null)
        {
            LookForStores();
        }
        else
        {
            await _device.Exports.UpdateAsync();
        }

        return reply;
    }
}
