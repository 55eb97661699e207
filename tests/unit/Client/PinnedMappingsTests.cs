using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// An address that the service names is looked up among the memory that is pinned, and never followed.

public sealed class PinnedMappingsTests
{
    private static readonly ObjectId Ioas = new(1);
    private readonly FakeContextGrain _grain = new();
    private ulong _address;

    public PinnedMappingsTests() => _grain.Ioctl = request =>
    {
        if (request.Command == (uint)IommuCommand.IoasMap)
        {
            _address = UapiStruct.Read<IommuIoasMap>(request.Argument).UserVa;
        }

        return new IoctlReply { Argument = request.Argument };
    };

    [Fact]
    public async Task Mapped_memory_is_read_and_written_at_its_address_and_nothing_beside_it()
    {
        byte[] bytes = [1, 2, 3, 4];
        var context = await new IommufdClient(_grain.Channel).OpenAsync();
        await context.MapAsync(Ioas, bytes, new Iova(0x1000));

        Expect.Sequence<byte>([2, 3, 4], Read(context.Memory, _address + 1, 8), "bytes read from the second on");
        Expect.Equal(2, context.Memory.Write(_address + 2, [8, 9, 10]), "bytes written from the third on");
        Expect.Sequence<byte>([1, 2, 8, 9], bytes, "the memory");
        Expect.Equal(
            (3UL, 2UL), (context.Memory.Accessible(_address + 1, 8, MemoryAccess.ReadWrite), context.Memory.Accessible(_address + 1, 2, MemoryAccess.Read)),
            "bytes accessible of 8 and of 2");
        foreach (var address in (ulong[])[0, 0x1000, _address - 1, _address + 4, ulong.MaxValue])
        {
            Expect.Sequence([], Read(context.Memory, address, 1), $"bytes read at 0x{address:X}, where nothing is pinned");
            Expect.Equal(0, context.Memory.Write(address, [1]), $"bytes written at 0x{address:X}");
            Expect.Equal(0UL, context.Memory.Accessible(address, 1, MemoryAccess.Read), $"bytes accessible at 0x{address:X}");
        }
    }

    [Fact]
    public async Task Of_an_array_only_the_part_that_is_mapped_can_be_reached()
    {
        byte[] bytes = [1, 2, 3, 4];
        var context = await new IommufdClient(_grain.Channel).OpenAsync();
        await context.MapAsync(Ioas, bytes.AsMemory(1, 2), new Iova(0x1000));
        Expect.Sequence<byte>([2, 3], Read(context.Memory, _address, 4), "bytes read of the part");
        Expect.Sequence([], Read(context.Memory, _address - 1, 1), "the byte before it");
    }

    [Fact]
    public async Task Memory_that_is_mapped_a_second_time_can_be_reached_as_far_as_the_longer_mapping_goes()
    {
        byte[] bytes = [1, 2, 3, 4];
        var context = await new IommufdClient(_grain.Channel).OpenAsync();
        await context.MapAsync(Ioas, bytes.AsMemory(0, 2), new Iova(0x1000));
        await context.MapAsync(Ioas, bytes.AsMemory(0, 3), new Iova(0x2000));

        Expect.Sequence<byte>([1, 2, 3], Read(context.Memory, _address, 8), "bytes read");
        Expect.Equal(3UL, context.Memory.Accessible(_address, 8, MemoryAccess.ReadWrite), "bytes accessible");
        Expect.Equal(3, context.Memory.Write(_address, [7, 8, 9, 10]), "bytes written");
        Expect.Sequence<byte>([7, 8, 9, 4], bytes, "the memory");
    }

    [Fact]
    public async Task What_is_unmapped_cannot_be_reached_any_more_and_what_a_copy_maps_can()
    {
        var context = await new IommufdClient(_grain.Channel).OpenAsync();
        await context.MapAsync(Ioas, new byte[] { 7 }, new Iova(0x1000));
        await context.CopyAsync(Ioas, new IovaRange(0x1000, 0x1000), new ObjectId(2), new Iova(0x5000));

        await context.UnmapAsync(Ioas, IovaRange.All);
        Expect.Sequence<byte>([7], Read(context.Memory, _address, 1), "the byte that a copy still maps");

        await context.UnmapAsync(new ObjectId(2), new IovaRange(0x5000, 0x5000));
        Expect.Sequence([], Read(context.Memory, _address, 1), "the byte that nothing maps");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_end_of_an_IOAS_or_of_the_context_ends_what_can_be_reached(bool isDestroy)
    {
        var context = await new IommufdClient(_grain.Channel).OpenAsync();
        await context.MapAsync(Ioas, new byte[] { 7 }, new Iova(0x1000));
        if (isDestroy)
        {
            await context.DestroyAsync(Ioas);
        }
        else
        {
            await context.CloseAsync();
        }

        Expect.Sequence([], Read(context.Memory, _address, 1), "the byte that was mapped");
    }

    [Fact]
    public async Task What_could_not_be_mapped_cannot_be_reached()
    {
        var context = await new IommufdClient(_grain.Channel).OpenAsync();
        ulong refused = 0;
        _grain.Ioctl = request =>
        {
            refused = UapiStruct.Read<IommuIoasMap>(request.Argument).UserVa;
            return new IoctlReply { Errno = Errno.EEXIST };
        };
        await Assert.ThrowsAsync<IommufdException>(() => context.MapAsync(Ioas, new byte[] { 7 }, new Iova(0x1000)).AsTask());
        Expect.Sequence([], Read(context.Memory, refused, 1), "the byte that was not mapped");
    }

    [Fact]
    public async Task Pinned_memory_has_no_files()
    {
        var memory = (await new IommufdClient(_grain.Channel).OpenAsync()).Memory;
        Expect.Equal(null, memory.FindFile(3), "the file of a descriptor");
        Expect.Equal(
            (0, 0), (memory.ReadFile(new MappedFile("memfd:ram"), 0, new byte[1]), memory.WriteFile(new MappedFile("memfd:ram"), 0, [1])),
            "bytes read from and written to a file");
    }

    private static byte[] Read(ICallerMemory memory, ulong address, int length)
    {
        var bytes = new byte[length];
        return bytes[..memory.Read(address, bytes)];
    }
}
