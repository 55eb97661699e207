using CsCheck;
using IommuFd.Client;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

public sealed class CallerMemoryTests
{
    private const ulong Page = 0x1000;

    [Fact]
    public void Reads_and_writes_reach_the_bytes_that_were_added()
    {
        byte[] bytes = [1, 2, 3, 4];
        var memory = new CallerMemory().Add(Page, bytes);
        Expect.Sequence<byte>([2, 3], Read(memory, Page + 1, 2), "two bytes from the second on");
        Expect.Equal(2, memory.Write(Page + 2, [8, 9]), "bytes written at the end");
        Expect.Sequence<byte>([1, 2, 8, 9], bytes, "the bytes of the one who added them");
        bytes[0] = 7;
        Expect.Sequence<byte>([7], Read(memory, Page, 1), "a byte that was changed there");
    }

    [Fact]
    public void What_lies_before_and_behind_a_region_cannot_be_accessed()
    {
        var memory = new CallerMemory().Add(Page, new byte[16]);
        foreach (var address in (ulong[])[0, Page - 1, Page + 16, ulong.MaxValue])
        {
            Expect.Sequence([], Read(memory, address, 4), $"bytes read at 0x{address:X}");
            Expect.Equal(0, memory.Write(address, [1]), $"bytes written at 0x{address:X}");
            Expect.Equal(0UL, memory.Accessible(address, 4, MemoryAccess.Read), $"bytes accessible at 0x{address:X}");
        }

        Expect.Equal(1, Read(memory, Page + 15, 4).Length, "bytes read at the last");
        Expect.Equal(1, memory.Write(Page + 15, [1, 2]), "bytes written at the last");
        Expect.Equal(1UL, memory.Accessible(Page + 15, 4, MemoryAccess.Write), "bytes accessible at the last");
        Expect.Equal(16UL, memory.Accessible(Page, ulong.MaxValue, MemoryAccess.ReadWrite), "bytes accessible of all there are");
    }

    [Fact]
    public void A_run_crosses_into_the_region_that_starts_where_one_ends_and_stops_at_a_gap()
    {
        var (first, second, third) = (new byte[] { 1, 2 }, new byte[] { 3, 4 }, new byte[] { 5, 6 });
        var memory = new CallerMemory().Add(Page + 5, third).Add(Page, first).Add(Page + 2, second);
        Expect.Sequence<byte>([2, 3, 4], Read(memory, Page + 1, 10), "bytes read over two regions up to the gap");
        Expect.Equal(3UL, memory.Accessible(Page + 1, 10, MemoryAccess.ReadWrite), "bytes accessible over two regions up to the gap");
        Expect.Equal(4, memory.Write(Page, [9, 8, 7, 6, 5, 4]), "bytes written over two regions up to the gap");
        Expect.Sequence<byte>([9, 8, 7, 6, 5, 6], [.. first, .. second, .. third], "the bytes of the three regions");
    }

    [Fact]
    public void A_run_stops_where_the_access_does_not_permit_it()
    {
        var memory = new CallerMemory()
            .Add(Page, new byte[4])
            .Add(Page + 4, new byte[4], MemoryAccess.Read)
            .Add(Page + 8, new byte[4], MemoryAccess.Write)
            .Add(Page + 12, new byte[4], MemoryAccess.None);
        Expect.Equal(8, Read(memory, Page, 16).Length, "bytes read");
        Expect.Equal(4, memory.Write(Page, new byte[16]), "bytes written");
        Expect.Equal(4, memory.Write(Page + 8, new byte[16]), "bytes written where only writing is permitted");
        Expect.Equal(0, Read(memory, Page + 8, 1).Length, "bytes read where only writing is permitted");
        Expect.Equal(8UL, memory.Accessible(Page, 16, MemoryAccess.Read), "bytes that permit reading");
        Expect.Equal(4UL, memory.Accessible(Page, 16, MemoryAccess.Write), "bytes that permit writing");
        Expect.Equal(4UL, memory.Accessible(Page, 16, MemoryAccess.ReadWrite), "bytes that permit both");
        Expect.Equal(16UL, memory.Accessible(Page, 16, MemoryAccess.None), "bytes that are there");
    }

    [Fact]
    public void Addresses_wrap_at_2_to_the_64_for_reading_writing_and_asking_alike()
    {
        var (top, bottom) = (new byte[] { 1, 2, 3, 4 }, new byte[] { 5, 6 });
        var memory = new CallerMemory().Add(ulong.MaxValue - 3, top);
        Expect.Sequence<byte>([3, 4], Read(memory, ulong.MaxValue - 1, 10), "bytes read at the top with nothing at 0");
        Expect.Equal(2UL, memory.Accessible(ulong.MaxValue - 1, 10, MemoryAccess.Read), "bytes accessible at the top with nothing at 0");

        memory.Add(0, bottom);
        Expect.Sequence<byte>([3, 4, 5, 6], Read(memory, ulong.MaxValue - 1, 10), "bytes read over the top");
        Expect.Equal(4UL, memory.Accessible(ulong.MaxValue - 1, 10, MemoryAccess.Read), "bytes accessible over the top");
        Expect.Equal(4UL, memory.Accessible(ulong.MaxValue - 1, ulong.MaxValue, MemoryAccess.Write), "bytes accessible over the top, of all there are");
        Expect.Equal(4, memory.Write(ulong.MaxValue - 1, [9, 9, 9, 9, 9]), "bytes written over the top");
        Expect.Sequence<byte>([1, 2, 9, 9, 9, 9], [.. top, .. bottom], "the bytes of both regions");
    }

    [Theory]
    [InlineData(0x1000, 16)]
    [InlineData(0x0FFF, 2)]
    [InlineData(0x100F, 1)]
    [InlineData(0x0F00, 0x1000)]
    [InlineData(0x1004, 4)]
    public void A_region_that_overlaps_another_is_refused(ulong address, int length)
    {
        var memory = new CallerMemory().Add(Page, new byte[16]);
        var exception = Assert.Throws<ArgumentException>(() => memory.Add(address, new byte[length]));
        Expect.That(
            exception.Message.Contains("overlaps 0x1000 to 0x100F", StringComparison.Ordinal),
            $"The message doesn't name the region in the way: {exception.Message}");
        Expect.Equal(16UL, memory.Accessible(Page, 100, MemoryAccess.Read), "bytes accessible after the refusal");
    }

    [Theory]
    [InlineData(0x0FFF, 1)]
    [InlineData(0x1010, 1)]
    public void Regions_may_touch(ulong address, int length)
    {
        byte[] region = [.. Enumerable.Range(1, 16).Select(i => (byte)i)];
        byte[] touching = [.. Enumerable.Repeat((byte)0xEE, length)];
        var memory = new CallerMemory().Add(Page, region).Add(address, touching);

        var first = Math.Min(Page, address);
        byte[] both = address < Page ? [.. touching, .. region] : [.. region, .. touching];
        Expect.Equal((ulong)both.Length, memory.Accessible(first, 100, MemoryAccess.ReadWrite), "bytes accessible from the first of both regions on");
        Expect.Sequence(both, Read(memory, first, 100), "bytes read from the first of both regions on");
    }

    [Fact]
    public void A_region_that_is_empty_or_goes_beyond_2_to_the_64_is_refused()
    {
        var memory = new CallerMemory();
        Assert.Throws<ArgumentException>(() => memory.Add(Page, Memory<byte>.Empty));
        Assert.Throws<ArgumentException>(() => memory.Add(ulong.MaxValue, new byte[2]));
        memory.Add(ulong.MaxValue, new byte[1]);
        Expect.Equal(1UL, memory.Accessible(ulong.MaxValue, 1, MemoryAccess.Read), "bytes accessible at the last address");
    }

    [Fact]
    public void Any_regions_answer_as_a_byte_by_byte_map_does()
    {
        var region = Gen.Select(Gen.Int[0, 60], Gen.Int[1, 12], Gen.OneOf(MemoryAccess.None, MemoryAccess.Read, MemoryAccess.Write, MemoryAccess.ReadWrite));
        Gen.Select(region.Array[0, 8], Gen.Int[0, 80], Gen.Int[0, 40]).Sample(
            (regions, start, length) =>
            {
                var memory = new CallerMemory();
                var map = new Dictionary<ulong, (byte Value, MemoryAccess Access)>();
                byte value = 0;
                foreach (var (at, size, access) in regions)
                {
                    var addresses = Enumerable.Range(at, size).Select(address => (ulong)address).ToList();
                    if (addresses.TrueForAll(address => !map.ContainsKey(address)))
                    {
                        memory.Add((ulong)at, addresses.Select(_ => ++value).ToArray(), access);
                        value -= (byte)size;
                        addresses.ForEach(address => map.Add(address, (++value, access)));
                    }
                }

                bool Permits(int at, MemoryAccess access) => map.TryGetValue((ulong)at, out var mapped) && (mapped.Access & access) == access;
                var address = (ulong)start;
                foreach (var access in Enum.GetValues<MemoryAccess>())
                {
                    var run = Enumerable.Range(start, length).TakeWhile(at => Permits(at, access)).Count();
                    Expect.Equal((ulong)run, memory.Accessible(address, (ulong)length, access), $"bytes that permit {access} of {length} at {start}");
                }

                var readable = Enumerable.Range(start, length).TakeWhile(at => Permits(at, MemoryAccess.Read));
                Expect.Sequence(readable.Select(at => map[(ulong)at].Value), Read(memory, address, length), $"bytes read of {length} at {start}");
            },
            iter: 2000,
            threads: 1);
    }

    private static byte[] Read(CallerMemory memory, ulong address, int length)
    {
        var bytes = new byte[length];
        return bytes[..memory.Read(address, bytes)];
    }
}
