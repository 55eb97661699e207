using System.Buffers;

namespace IommuFd.Client;

/// <summary>Pinned memory of this process, so that the address in a mapping stays valid. Copies of a mapping share the pin, which counts them.</summary>
internal sealed class MemoryPin
{
    private MemoryHandle _handle;
    private int _mappings = 1;

    public unsafe MemoryPin(Memory<byte> memory)
    {
        _handle = memory.Pin();
        Memory = memory;
        Address = (ulong)_handle.Pointer;
    }

    public ulong Address { get; }

    public Memory<byte> Memory { get; }

    public void Share() => Interlocked.Increment(ref _mappings);

    public void Drop()
    {
        if (Interlocked.Decrement(ref _mappings) == 0)
        {
            _handle.Dispose();
        }
    }
}
