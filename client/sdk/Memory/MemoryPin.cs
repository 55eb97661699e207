using System.Buffers;

namespace IommuFd.Client;

/// <summary>Memory of this process that is pinned, so that the address a mapping has of it stays true. Counted: copies of a mapping share it.</summary>
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
