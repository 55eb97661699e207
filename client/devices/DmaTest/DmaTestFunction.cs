using System.Buffers.Binary;
using IommuFd.Devices.Pci;
using static IommuFd.Devices.DmaTest.DmaTestRegister;

namespace IommuFd.Devices.DmaTest;

// One command at a time. The registers are kept here and shown in the BAR: what a program writes to a read-only one is put back.

/// <summary>A device for tests: copies, fills and checks memory by IOVAs, and misbehaves when told to.</summary>
public sealed class DmaTestFunction : PciFunction
{
    private const int BarLength = 0x4000;
    private const int Vectors = 4;

    private static readonly PciIdentity Kind = new("dma-test", PciIdentity.EmulatedVendor, 0x10D0, 0x08_80_00, Vectors);
    private static readonly TimeSpan RepeatPause = TimeSpan.FromMilliseconds(1);

    private readonly PciBar _bar;
    private readonly TimeProvider _time;
    private readonly uint[] _registers = new uint[End / sizeof(uint)];
    private CancellationTokenSource _life = new();

    // The command that is running, so that one that was left behind by a reset is not taken for it.
    private object? _running;

    /// <summary>Makes one.</summary>
    /// <param name="memory">Makes the memory of BARs; null for memory of this process.</param>
    /// <param name="time">The clock for repeated commands; null for the system's.</param>
    public DmaTestFunction(IBarMemoryFactory? memory = null, TimeProvider? time = null)
        : base(Kind, memory)
    {
        _time = time ?? TimeProvider.System;
        _bar = AddBar(0, BarLength, is64Bit: true, new PciBarArea(Doorbell, BarLength - Doorbell));
        Clear();
    }

    /// <inheritdoc/>
    public override bool Poll()
    {
        if (_bar.Take32(Doorbell) is not (> 0 and var command))
        {
            return false;
        }

        Begin((DmaTestCommand)command);
        return true;
    }

    /// <inheritdoc/>
    protected override void OnBarWritten(int index, int offset, int length)
    {
        var end = Math.Min(offset + length, End);
        for (var register = offset & ~3; register < end; register += sizeof(uint))
        {
            OnRegisterWritten(register, _bar.Read32(register));
        }

        if (offset < Doorbell + sizeof(uint) && offset + length > Doorbell)
        {
            Poll();
        }
    }

    /// <inheritdoc/>
    protected override void OnReset()
    {
        _life.Cancel();
        Clear();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _life.Cancel();
        base.Dispose(disposing);
    }

    private void Clear()
    {
        (_life, _running) = (new CancellationTokenSource(), null);
        _bar.Bytes.Clear();
        Array.Clear(_registers);
        Set(Id, IdValue);
        Set(DmaTestRegister.Version, 1);
        Set(Vector, NoVector);
    }

    private void OnRegisterWritten(int register, uint value)
    {
        switch (register)
        {
            case Pasid or Source or (Source + 4) or Destination or (Destination + 4) or Length or Pattern or Vector or Flags:
                Set(register, value);
                break;

            case Interrupt:
                Set(register, Get(register) & ~value);
                Interrupts.SetPin(Get(register) != 0);
                break;

            case Command:
                Set(register, 0);
                Begin((DmaTestCommand)value);
                break;

            default:
                Set(register, Get(register));
                break;
        }
    }

    private void Begin(DmaTestCommand command)
    {
        if (command == DmaTestCommand.Stop)
        {
            _life.Cancel();
            _life = new CancellationTokenSource();
        }
        else if (command != DmaTestCommand.None && _running is null)
        {
            Set(Status, StatusBusy);
            var (life, run) = (_life.Token, _running = new object());
            Loop.Start(() => RunAsync(command, run, life));
        }
    }

    private async Task RunAsync(DmaTestCommand command, object run, CancellationToken life)
    {
        while (true)
        {
            var result = await ExecuteAsync(command, life);
            if (_running != run)
            {
                return;
            }

            var repeats = (Get(Flags) & FlagRepeat) != 0 && !life.IsCancellationRequested;
            _running = repeats ? run : null;
            Set(Status, repeats ? StatusBusy | StatusRepeating : 0);
            Complete(life.IsCancellationRequested ? DmaTestResult.Aborted : result);
            if (!repeats)
            {
                return;
            }

            await Task.Delay(RepeatPause, _time, life).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        }
    }

    private void Complete(DmaTestResult result)
    {
        Set(Result, (uint)result);
        Set(Done, Get(Done) + 1);
        if (Get(Vector) is var vector && vector != NoVector)
        {
            Set(Interrupt, 1);
            Interrupts.SetPin(true);
            Interrupts.Raise((int)(vector % Vectors));
        }
    }

    private async ValueTask<DmaTestResult> ExecuteAsync(DmaTestCommand command, CancellationToken life)
    {
        if (command == DmaTestCommand.Interrupt || life.IsCancellationRequested)
        {
            return life.IsCancellationRequested ? DmaTestResult.Aborted : DmaTestResult.Done;
        }

        var most = command is DmaTestCommand.Load or DmaTestCommand.Store ? WindowLength : MaxLength;
        if (command is < DmaTestCommand.Copy or > DmaTestCommand.Store || Get(Length) is 0 || Get(Length) > most)
        {
            return DmaTestResult.Invalid;
        }

        var buffer = new byte[Get(Length)];
        return command switch
        {
            DmaTestCommand.Fill => await WriteAsync(Get64(Destination), Filled(buffer), life),
            DmaTestCommand.Store => await WriteAsync(Get64(Destination), FromWindow(buffer), life),
            _ => await ReadAsync(buffer, life) is var read && read != DmaTestResult.Done ? read
                : command == DmaTestCommand.Copy ? await WriteAsync(Get64(Destination), buffer, life)
                : command == DmaTestCommand.Load ? ToWindow(buffer)
                : Compare(buffer),
        };
    }

    private async ValueTask<DmaTestResult> ReadAsync(byte[] buffer, CancellationToken life)
    {
        var source = Get64(Source);
        var read = Outcome(await Dma.ReadAsync(source, buffer, Get(Pasid), life), life);
        return read == DmaTestResult.Done && (Get(Flags) & FlagWriteBack) != 0 ? await WriteAsync(source, buffer, life) : read;
    }

    private async ValueTask<DmaTestResult> WriteAsync(ulong destination, byte[] buffer, CancellationToken life)
        => Outcome(await Dma.WriteAsync(destination, buffer, Get(Pasid), life), life);

    private DmaTestResult Outcome(DmaResult result, CancellationToken life)
    {
        if (life.IsCancellationRequested)
        {
            return DmaTestResult.Aborted;
        }

        if (result.Status is not (DmaStatus.Done or DmaStatus.Aborted))
        {
            Set(Refused, Get(Refused) + 1);
            Set(RefusedErrno, (uint)result.Errno);
        }

        return result.Status switch
        {
            DmaStatus.Done => DmaTestResult.Done,
            DmaStatus.Fault => DmaTestResult.Refused,
            DmaStatus.Disabled => DmaTestResult.NotMaster,
            DmaStatus.Unbound => DmaTestResult.NotBound,
            _ => DmaTestResult.Aborted,
        };
    }

    private DmaTestResult Compare(byte[] buffer)
    {
        var expected = Filled(new byte[buffer.Length]);
        var same = buffer.AsSpan().CommonPrefixLength(expected);
        Set(Offset, same == buffer.Length ? 0 : (uint)same);
        return same == buffer.Length ? DmaTestResult.Done : DmaTestResult.Mismatch;
    }

    private byte[] Filled(byte[] buffer)
    {
        Span<byte> pattern = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(pattern, Get(Pattern));
        for (var i = 0; i < buffer.Length; i++)
        {
            buffer[i] = pattern[i % sizeof(uint)];
        }

        return buffer;
    }

    private byte[] FromWindow(byte[] buffer)
    {
        _bar.Bytes.Slice(Window, buffer.Length).CopyTo(buffer);
        return buffer;
    }

    private DmaTestResult ToWindow(byte[] buffer)
    {
        buffer.CopyTo(_bar.Bytes[Window..]);
        return DmaTestResult.Done;
    }

    private uint Get(int register) => _registers[register / sizeof(uint)];

    private ulong Get64(int register) => Get(register) | ((ulong)Get(register + 4) << 32);

    private void Set(int register, uint value)
    {
        _registers[register / sizeof(uint)] = value;
        _bar.Write32(register, value);
    }
}
