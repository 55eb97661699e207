using System.Runtime.InteropServices;
using IommuFd.Client;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

public sealed class DmaMemoryTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(4096)]
    [InlineData(100_000)]
    public void Memory_for_DMA_is_zero_starts_at_a_page_and_stays_where_it_is(int length)
    {
        var memory = DmaMemory.Allocate(length);
        Expect.Equal(length, memory.Length, "bytes");
        Expect.That(MemoryMarshal.TryGetArray<byte>(memory, out var segment), "It is no array.");
        var address = Marshal.UnsafeAddrOfPinnedArrayElement(segment.Array!, segment.Offset);
        Expect.Equal(0L, address % DmaMemory.PageSizeBytes, $"the address of {length} bytes, within its page");
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: true, compacting: true);
        Expect.Equal(address, Marshal.UnsafeAddrOfPinnedArrayElement(segment.Array!, segment.Offset), "the address after a collection that moves objects");
        Expect.That(memory.Span.IndexOfAnyExcept((byte)0) < 0, "It is not zero.");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void Lengths_that_cannot_be_are_refused(int length) => Assert.Throws<ArgumentOutOfRangeException>(() => DmaMemory.Allocate(length));
}
