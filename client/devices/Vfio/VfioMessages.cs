using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>An ioctl on a device file.</summary>
/// <param name="Command">The full ioctl number.</param>
/// <param name="Argument">The argument's leading bytes that can be read: as many as <see cref="VfioArgument.Length"/> says, fewer where the caller's memory ends before.</param>
/// <param name="WritableBytes">How many leading bytes of the argument can be written.</param>
public readonly record struct VfioIoctl(uint Command, ReadOnlyMemory<byte> Argument, int WritableBytes);

/// <summary>The answer to an ioctl, a read or a write.</summary>
/// <param name="Errno">0 on success.</param>
/// <param name="Result">What the call returns on success: 0, or the bytes that were read or written.</param>
/// <param name="Argument">The argument's leading bytes to copy back, also where some ioctls fail; empty for none.</param>
/// <param name="DmaBuf">The dma-buf that the ioctl has opened: its descriptor is what the call returns. The host of devices gives it one.</param>
public readonly record struct VfioReply(Errno Errno, int Result = 0, ReadOnlyMemory<byte> Argument = default, DmaBuf? DmaBuf = null);

/// <summary>A part of a BAR that a program maps.</summary>
/// <param name="Errno">0; EINVAL where it can't be mapped.</param>
/// <param name="Memory">The memory of the BAR.</param>
/// <param name="Offset">The first byte to map.</param>
public readonly record struct VfioMapping(Errno Errno, IBarMemory? Memory = null, int Offset = 0);

/// <summary>What a descriptor in an argument leads to.</summary>
/// <typeparam name="T">What is wanted.</typeparam>
/// <param name="Errno">0; EBADF for a descriptor that is not open, and another one for what leads elsewhere.</param>
/// <param name="Value">What it leads to.</param>
public readonly record struct VfioFound<T>(Errno Errno, T? Value = null)
    where T : class;

/// <summary>A context that a device is bound to, as the host of devices knows it.</summary>
/// <param name="Driver">A driver's reference to the context, which the device file puts when it is closed.</param>
/// <param name="Memory">The memory of the programs that use the context.</param>
/// <param name="Fence">The context's fence.</param>
public sealed record VfioContext(IommuDriver Driver, IDmaMemory Memory, DmaFence Fence);

/// <summary>Finds what the descriptors of the calling program lead to.</summary>
public interface IVfioFiles
{
    /// <summary>Finds the context of a descriptor, and takes a driver's reference to it.</summary>
    /// <param name="fileDescriptor">The descriptor, not negative.</param>
    /// <param name="driver">The driver's name, for people.</param>
    /// <param name="cancellationToken">Gives the search up.</param>
    /// <returns>The context; EBADF where the descriptor is not open, EBADFD where it is no context's.</returns>
    ValueTask<VfioFound<VfioContext>> FindContextAsync(int fileDescriptor, string driver, CancellationToken cancellationToken);

    /// <summary>Finds the eventfd of a descriptor, and keeps it open for the device.</summary>
    /// <param name="fileDescriptor">The descriptor, not negative.</param>
    /// <returns>The eventfd, which is disposed after use if it can be; EBADF where the descriptor is not open, EINVAL where it is no eventfd's.</returns>
    VfioFound<IInterrupt> FindInterrupt(int fileDescriptor);
}

/// <summary>How long arguments are.</summary>
public static class VfioArgument
{
    /// <summary>The most bytes of an argument that a device file reads.</summary>
    public const int MaxLength = 64 * 1024;

    private static readonly Dictionary<VfioDeviceCommand, int> Least = new()
    {
        [VfioDeviceCommand.GetInfo] = 16,
        [VfioDeviceCommand.GetRegionInfo] = 32,
        [VfioDeviceCommand.GetIrqInfo] = 16,
        [VfioDeviceCommand.SetIrqs] = 20,
        [VfioDeviceCommand.Reset] = 0,
        [VfioDeviceCommand.GetPciHotResetInfo] = 12,
        [VfioDeviceCommand.PciHotReset] = 12,
        [VfioDeviceCommand.IoEventFd] = 28,
        [VfioDeviceCommand.Feature] = 8,
        [VfioDeviceCommand.BindIommufd] = 16,
        [VfioDeviceCommand.AttachIommufdPt] = 12,
        [VfioDeviceCommand.DetachIommufdPt] = 8,
    };

    /// <summary>How many bytes of an argument to read.</summary>
    /// <param name="command">The full ioctl number.</param>
    /// <param name="argsz">The first u32 of the argument.</param>
    /// <returns>The bytes that a command reads whatever argsz says, or argsz where that is more, up to <see cref="MaxLength"/>; 0 for what is no command.</returns>
    public static int Length(uint command, uint argsz)
        => Least.TryGetValue((VfioDeviceCommand)command, out var least) ? least == 0 ? 0 : (int)Math.Min(Math.Max((uint)least, argsz), MaxLength) : 0;

    /// <summary>The least bytes of a command's argument: fewer are EFAULT where they can't be read, and EINVAL where argsz says so.</summary>
    internal static int LeastOf(VfioDeviceCommand command) => Least[command];
}
