namespace IommuFd.Devices.Pci;

/// <summary>The memory of a BAR, which the device and programs that map it share. The host of devices makes it, so that it can be shared between processes.</summary>
public interface IBarMemory : IDisposable
{
    /// <summary>The bytes. The device reads and writes them in place: they stay where they are.</summary>
    Memory<byte> Bytes { get; }
}

/// <summary>Makes the memory of BARs.</summary>
public interface IBarMemoryFactory
{
    /// <summary>Makes zeroed memory.</summary>
    /// <param name="name">What it is for, for people.</param>
    /// <param name="lengthBytes">Its length: whole pages.</param>
    /// <returns>The memory.</returns>
    IBarMemory Allocate(string name, int lengthBytes);
}

/// <summary>Memory of this process alone.</summary>
public sealed class ArrayBarMemory : IBarMemoryFactory
{
    /// <summary>The only one.</summary>
    public static ArrayBarMemory Factory { get; } = new();

    /// <inheritdoc/>
    public IBarMemory Allocate(string name, int lengthBytes) => new Array(GC.AllocateArray<byte>(lengthBytes, pinned: true));

    private sealed class Array(byte[] bytes) : IBarMemory
    {
        public Memory<byte> Bytes => bytes;

        public void Dispose()
        {
        }
    }
}
