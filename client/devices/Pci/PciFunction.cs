using System.Numerics;

namespace IommuFd.Devices.Pci;

// A function's registers are bytes of its BARs; what a program writes is put there first, and the class that derives from this looks at it. So a store through a
// mapping and a write through the file lead to the same place, and differ in who tells the device: a write comes by OnBarWritten, a store is found by Poll.
//
// The MSI-X table and the pending bits have BAR 4 for themselves, which programs can't map.

/// <summary>An emulated PCI function. Adding a device is deriving a class. All of it runs in its <see cref="Loop"/>.</summary>
public abstract class PciFunction : IDisposable
{
    /// <summary>The BAR of the MSI-X table.</summary>
    internal const int MsixBar = 4;

    private const int PendingOffset = 0x800;
    private const int MsixBarLength = 4096;
    private const int MaxVectors = 128;

    private readonly PciBar?[] _bars = new PciBar?[6];
    private readonly IBarMemoryFactory _memory;

    /// <summary>Makes a function with its config space, its capabilities and the BAR of its MSI-X table.</summary>
    /// <param name="identity">What it is.</param>
    /// <param name="memory">Makes the memory of BARs; null for memory of this process.</param>
    protected PciFunction(PciIdentity identity, IBarMemoryFactory? memory = null)
    {
        ArgumentNullException.ThrowIfNull(identity);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(identity.Vectors, MaxVectors, nameof(identity));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(identity.Vectors, nameof(identity));
        (Identity, _memory) = (identity, memory ?? ArrayBarMemory.Factory);
        Config = new ConfigSpace();
        Dma = new FunctionDma(Config);
        PciHeader.Write(Config, identity);
        Interrupts = new PciInterrupts(Config, AddBar(MsixBar, MsixBarLength, is64Bit: false), identity.Vectors, PendingOffset);
        PciHeader.AddCapabilities(Config, identity.Vectors, MsixBar, PendingOffset);
    }

    /// <summary>What it is.</summary>
    public PciIdentity Identity { get; }

    /// <summary>Its single thread of control.</summary>
    public DeviceLoop Loop { get; } = new();

    /// <summary>Its config space.</summary>
    public ConfigSpace Config { get; }

    /// <summary>Its interrupts.</summary>
    public PciInterrupts Interrupts { get; }

    /// <summary>Its accesses to memory.</summary>
    public FunctionDma Dma { get; }

    /// <summary>Whether its BARs answer: memory decode is on, and it is not in D3.</summary>
    public bool IsMemoryEnabled
        => (Config.Get16(PciRegister.Command) & PciRegister.CommandMemory) != 0
            && (Config.Get16(Config.Find(PciCapability.PowerManagement) + PciRegister.PowerControl) & PciRegister.PowerStateMask) < 3;

    /// <summary>How often it was reset.</summary>
    internal long Resets { get; private set; }

    /// <summary>A BAR.</summary>
    /// <param name="index">Its number.</param>
    /// <returns>The BAR; null where there is none.</returns>
    public PciBar? Bar(int index) => (uint)index < (uint)_bars.Length ? _bars[index] : null;

    /// <summary>Says how the function reaches memory.</summary>
    /// <param name="port">The way; null while it is bound to no context.</param>
    public void Connect(IDmaPort? port) => Dma.Port = port;

    /// <summary>Writes to the config space as a program does.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="source">The bytes, which must end in the space.</param>
    public void WriteConfig(int offset, ReadOnlySpan<byte> source)
    {
        Config.Write(offset, source);
        var control = Config.Find(PciCapability.Express) + PciRegister.ExpressDeviceControl;
        var value = Config.Get16(control);
        if ((value & PciRegister.ExpressFunctionReset) != 0)
        {
            Config.Set16(control, (ushort)(value & ~PciRegister.ExpressFunctionReset));
            Reset();
        }

        Interrupts.Recheck();
    }

    /// <summary>Reads a BAR as a program does.</summary>
    /// <param name="index">The BAR.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="destination">The buffer for the bytes, which must end in the BAR.</param>
    public void ReadBar(int index, int offset, Span<byte> destination) => _bars[index]!.Bytes.Slice(offset, destination.Length).CopyTo(destination);

    /// <summary>Writes a BAR as a program does, and tells the device.</summary>
    /// <param name="index">The BAR.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="source">The bytes, which must end in the BAR.</param>
    public void WriteBar(int index, int offset, ReadOnlySpan<byte> source)
    {
        source.CopyTo(_bars[index]!.Bytes[offset..]);
        if (index == MsixBar)
        {
            Interrupts.Recheck();
        }
        else
        {
            OnBarWritten(index, offset, source.Length);
        }
    }

    /// <summary>Resets the function, as a function-level reset does. The host keeps the config space, as the kernel does around a reset.</summary>
    public void Reset()
    {
        Resets++;
        Interrupts.Reset();
        OnReset();
    }

    /// <summary>Looks for stores to mapped BARs of which nobody has told the device.</summary>
    /// <returns>Whether there were any, so that it is worth looking again soon.</returns>
    public virtual bool Poll() => false;

    /// <summary>Frees the memory of the BARs. The device must be at rest.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Ends what the device does.</summary>
    /// <param name="disposing">Whether it was disposed.</param>
    protected virtual void Dispose(bool disposing)
    {
        foreach (var bar in _bars)
        {
            bar?.Memory.Dispose();
        }
    }

    /// <summary>The bytes of a BAR were written through the file, and are there.</summary>
    /// <param name="index">The BAR.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="length">How many.</param>
    protected virtual void OnBarWritten(int index, int offset, int length)
    {
    }

    /// <summary>Puts registers and work back to how they are after power-on.</summary>
    protected abstract void OnReset();

    /// <summary>Adds a BAR.</summary>
    /// <param name="index">Its number.</param>
    /// <param name="length">Bytes: a power of two, at least a page.</param>
    /// <param name="is64Bit">Whether it can be anywhere in 64 bits; the next number is taken then.</param>
    /// <param name="mappable">The parts that programs can map.</param>
    /// <returns>The BAR.</returns>
    protected PciBar AddBar(int index, int length, bool is64Bit, params PciBarArea[] mappable)
    {
        if (!BitOperations.IsPow2(length) || length < 4096 || _bars[index] is not null || (is64Bit && (index == 5 || _bars[index + 1] is not null)))
        {
            throw new ArgumentException($"BAR {index} of {length} bytes can't be added.", nameof(index));
        }

        PciHeader.AddBar(Config, index, length, is64Bit);
        return _bars[index] = new PciBar(index, length, is64Bit, _memory.Allocate($"{Identity.Name} BAR {index}", length), mappable);
    }
}
