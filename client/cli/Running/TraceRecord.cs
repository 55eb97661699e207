using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Cli.Running;

/// <summary>What a program did to a descriptor of the emulated device.</summary>
internal enum TraceKind : uint
{
    Ioctl = 1,
    Open,
    Close,
    Read,
    Write,
}

/// <summary>A place in a program's code.</summary>
/// <param name="File">The file that the code is mapped from; empty for code from nowhere.</param>
/// <param name="Offset">The offset in it of the call's return address, or that address itself.</param>
internal readonly record struct CodePlace(string File, ulong Offset);

/// <summary>One call of a traced program. <c>bridge/bridge.h</c> has the layout.</summary>
internal sealed class TraceRecord
{
    /// <summary>More than the longest.</summary>
    public const int MaxBytes = 16 * 1024;

    private const int HeaderBytes = 88;

    // Kinds of descriptors (docs/protocol.md), and what the bridge adds to a group's number.
    private const uint DeviceFile = 5, GroupFile = 6, MostDevices = 0x10000;

    private const uint FirstOfGroup = 0x3B67, GroupUnsetContainer = 0x3B69, GroupGetDevice = 0x3B6A;

    private static readonly string[] GroupCommands = ["VFIO_GROUP_GET_STATUS", "VFIO_GROUP_SET_CONTAINER", "VFIO_GROUP_UNSET_CONTAINER", "VFIO_GROUP_GET_DEVICE_FD"];

    public required TraceKind Kind { get; init; }

    public required int Process { get; init; }

    public required int Thread { get; init; }

    public required Errno Errno { get; init; }

    /// <summary>When it began: nanoseconds of CLOCK_MONOTONIC.</summary>
    public required ulong StartNanoseconds { get; init; }

    public required ulong Nanoseconds { get; init; }

    /// <summary>The descriptor's number.</summary>
    public required int Descriptor { get; init; }

    /// <summary>The ioctl's number; for read and write, how many bytes were asked for; for open, what: <see cref="Path"/>.</summary>
    public required uint Command { get; init; }

    /// <summary>Whether an ioctl is one of a device file or a group, whose numbers others have too.</summary>
    public bool IsOfDevice { get; init; }

    /// <summary>What the call returned; for close, 1 if it was the descriptor's last copy.</summary>
    public required int Result { get; init; }

    /// <summary>Tells descriptors apart, and is the same for all copies of one, in all processes.</summary>
    public required ulong Cookie { get; init; }

    public required CodePlace Caller { get; init; }

    /// <summary>The argument before the call; where it is an integer, that.</summary>
    public required byte[] Argument { get; init; }

    /// <summary>The argument after the call.</summary>
    public required byte[] Answer { get; init; }

    /// <summary>Why it failed, in the service's words; may be empty.</summary>
    public required string Text { get; init; }

    /// <summary>The command that is known by the ioctl's number.</summary>
    public IoctlDescriptor? Known => Kind == TraceKind.Ioctl && !IsOfDevice ? IoctlTable.Find(Command) : null;

    /// <summary>Whether the ioctl has an argument: where it has none, the program passes whatever it has there.</summary>
    public bool HasArgument => !(IsOfDevice && Command is (uint)VfioDeviceCommand.Reset or GroupUnsetContainer);

    /// <summary>The ioctl's name.</summary>
    public string CommandName => !IsOfDevice ? IoctlText.Name(Command)
        : (VfioDeviceCommand)Command is VfioDeviceCommand.IoEventFd ? "VFIO_DEVICE_IOEVENTFD"
        : Enum.GetName((VfioDeviceCommand)Command) is { } name ? $"VFIO_DEVICE_{JsonNamingPolicy.SnakeCaseUpper.ConvertName(name)}"
        : Command - FirstOfGroup < (uint)GroupCommands.Length ? GroupCommands[Command - FirstOfGroup]
        : $"0x{Command:X}";

    /// <summary>Whether the call has given the program a device that does DMA.</summary>
    public bool BindsDevice => IsOfDevice && Errno == Errno.None && Command is (uint)VfioDeviceCommand.BindIommufd or GroupGetDevice;

    /// <summary>The path that was opened.</summary>
    public string Path => Command == 0 ? "/dev/iommu" : Command <= MostDevices ? $"/dev/vfio/devices/vfio{Command - 1}" : $"/dev/vfio/{Command - 1 - MostDevices}";

    /// <summary>Reads a datagram; null if it is none of the bridge's.</summary>
    public static TraceRecord? Parse(ReadOnlySpan<byte> datagram)
    {
        if (datagram.Length < HeaderBytes)
        {
            return null;
        }

        var (kind, module, argument) = ((TraceKind)UInt32(datagram, 0), (int)UInt32(datagram, 44), (int)UInt32(datagram, 64));
        var (answer, text) = ((int)UInt32(datagram, 68), (int)UInt32(datagram, 72));
        if (!Enum.IsDefined(kind) || module < 0 || argument < 0 || answer < 0 || text < 0 || (long)HeaderBytes + argument + answer + text + module != datagram.Length)
        {
            return null;
        }

        var rest = datagram[HeaderBytes..];
        var isOfDevice = UInt32(datagram, 76) is DeviceFile or GroupFile;
        var isInteger = kind == TraceKind.Ioctl && !isOfDevice && IoctlTable.Find(UInt32(datagram, 36)) is { Argument: IoctlArgument.Integer };
        return new TraceRecord
        {
            Kind = kind,
            Process = (int)UInt32(datagram, 4),
            Thread = (int)UInt32(datagram, 8),
            Errno = (Errno)UInt32(datagram, 12),
            StartNanoseconds = UInt64(datagram, 16),
            Nanoseconds = UInt64(datagram, 24),
            Descriptor = (int)UInt32(datagram, 32),
            Command = UInt32(datagram, 36),
            IsOfDevice = isOfDevice,
            Result = (int)UInt32(datagram, 40),
            Cookie = UInt64(datagram, 48),
            Argument = isInteger ? datagram.Slice(80, sizeof(ulong)).ToArray() : rest[..argument].ToArray(),
            Answer = isInteger ? datagram.Slice(80, sizeof(ulong)).ToArray() : rest.Slice(argument, answer).ToArray(),
            Text = Encoding.UTF8.GetString(rest.Slice(argument + answer, text)),
            Caller = new CodePlace(Encoding.UTF8.GetString(rest[(argument + answer + text)..]), UInt64(datagram, 56)),
        };
    }

    private static uint UInt32(ReadOnlySpan<byte> datagram, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(datagram[offset..]);

    private static ulong UInt64(ReadOnlySpan<byte> datagram, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(datagram[offset..]);
}
