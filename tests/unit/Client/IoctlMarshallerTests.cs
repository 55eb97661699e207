using System.Buffers.Binary;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// What the SDK says of its caller's memory. It decides nothing; the errno that follows from each case is in PrevalidationTests.

public sealed class IoctlMarshallerTests
{
    private const ulong Args = 0x2000_0000_0000;
    private const ulong Data = 0x1000_0000_0000;
    private const ulong Hole = 0x3000_0000_0000;

    [Fact]
    public void An_argument_travels_as_long_as_its_first_u32_says()
    {
        var bytes = Numbered(64);
        foreach (var size in (int[])[4, 5, 12, 64])
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes, size);
            var request = CopyIn(new CallerMemory().Add(Args, bytes));
            Expect.Equal(0x3B81U, request.Command, "the command");
            Expect.Sequence(bytes[..size], request.Argument, $"an argument whose size is {size}");
            Expect.Equal((ArgumentTail.Zero, (uint)size), (request.Tail, request.WritableBytes), $"the tail and the writable bytes of size {size}");
            Expect.Equal(null, request.Buffers, "the buffers of a command without pointers");
        }
    }

    [Fact]
    public void Of_a_size_below_4_the_size_itself_travels()
    {
        for (uint size = 0; size < 4; size++)
        {
            var bytes = new byte[8];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, size);
            var request = CopyIn(new CallerMemory().Add(Args, bytes));
            Expect.Sequence(bytes[..4], request.Argument, $"an argument whose size is {size}");
            Expect.Equal((ArgumentTail.Zero, size), (request.Tail, request.WritableBytes), $"the tail and the writable bytes of size {size}");
        }
    }

    [Fact]
    public void A_pointer_that_leads_nowhere_travels_as_nothing_readable()
    {
        var request = IoctlMarshaller.CopyIn(0x3B81, Hole, new CallerMemory().Add(Args, new byte[64]));
        Expect.Sequence([], request.Argument, "the argument");
        Expect.Equal(
            (0x3B81U, ArgumentTail.Faulted, 0U, null), (request.Command, request.Tail, request.WritableBytes, request.Buffers), "the rest of the request");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_size_that_cannot_be_read_whole_travels_as_far_as_it_can(int readable)
    {
        var request = CopyIn(new CallerMemory().Add(Args, Numbered(readable)));
        Expect.Sequence(Numbered(readable), request.Argument, "the argument");
        Expect.Equal(ArgumentTail.Faulted, request.Tail, "the tail");
    }

    [Theory]
    [InlineData(4)]
    [InlineData(23)]
    [InlineData(300)]
    public void An_argument_that_is_cut_off_travels_as_far_as_it_can_be_read(int readable)
    {
        var bytes = Numbered(readable);
        BinaryPrimitives.WriteInt32LittleEndian(bytes, readable + 1);
        var request = CopyIn(new CallerMemory().Add(Args, bytes));
        Expect.Sequence(bytes, request.Argument, $"an argument of {readable + 1} bytes of which {readable} can be read");
        Expect.Equal((ArgumentTail.Faulted, (uint)readable), (request.Tail, request.WritableBytes), "the tail and the writable bytes");
    }

    [Fact]
    public void What_can_be_read_and_what_can_be_written_are_told_apart()
    {
        var bytes = new byte[12];
        bytes[0] = 12;
        var readOnly = CopyIn(new CallerMemory().Add(Args, bytes, MemoryAccess.Read));
        Expect.Equal(
            (12, ArgumentTail.Zero, 0U), (readOnly.Argument.Length, readOnly.Tail, readOnly.WritableBytes),
            "bytes, tail and writable bytes of a read-only argument");
        var half = CopyIn(new CallerMemory().Add(Args, bytes.AsMemory(0, 8)).Add(Args + 8, bytes.AsMemory(8), MemoryAccess.Read));
        Expect.Equal(
            (12, ArgumentTail.Zero, 8U), (half.Argument.Length, half.Tail, half.WritableBytes), "bytes, tail and writable bytes of one whose end is read-only");
        var writeOnly = CopyIn(new CallerMemory().Add(Args, bytes, MemoryAccess.Write));
        Expect.Equal((0, ArgumentTail.Faulted), (writeOnly.Argument.Length, writeOnly.Tail), "bytes and tail of a write-only argument");
    }

    // What is behind the 4096 bytes that travel, at the sizes where chunks of the scan begin and end.
    [Theory]
    [InlineData(4096)]
    [InlineData(4097)]
    [InlineData(4096 + (64 * 1024))]
    [InlineData(4097 + (64 * 1024))]
    [InlineData(1_000_000)]
    public void Of_a_large_size_4096_bytes_travel_and_the_rest_is_looked_at(int size)
    {
        var bytes = new byte[size];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, size);
        bytes.AsSpan(4, 4092).Fill(0xAB);
        var request = CopyIn(new CallerMemory().Add(Args, bytes));
        Expect.Sequence(bytes.Take(4096), request.Argument, $"an argument of size {size}");
        Expect.Equal((ArgumentTail.Zero, (uint)size), (request.Tail, request.WritableBytes), $"the tail and the writable bytes of size {size}");
        foreach (var at in (int[])[4096, 4097, 4095 + (64 * 1024), 4096 + (64 * 1024), size - 1])
        {
            if (at < size && at >= 4096)
            {
                bytes[at] = 1;
                Expect.Equal(ArgumentTail.NonZero, CopyIn(new CallerMemory().Add(Args, bytes)).Tail, $"the tail of size {size} with byte {at} set");
                bytes[at] = 0;
            }
        }
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(4097)]
    [InlineData(5000)]
    [InlineData(4096 + (64 * 1024))]
    [InlineData(100_000)]
    public void A_tail_is_what_comes_first_in_it_a_byte_that_is_not_zero_or_one_that_cannot_be_read(int readable)
    {
        var bytes = new byte[readable];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, 200_000);
        var request = CopyIn(new CallerMemory().Add(Args, bytes));
        Expect.Equal(
            (4096, ArgumentTail.Faulted), (request.Argument.Length, request.Tail), $"bytes and tail of size 200000 of which {readable} are there, zero");
        if (readable > 4096)
        {
            bytes[^1] = 1;
            Expect.Equal(ArgumentTail.NonZero, CopyIn(new CallerMemory().Add(Args, bytes)).Tail, "the tail with a byte that is not zero before the fault");
        }

        // Behind the fault nothing counts.
        var behind = new CallerMemory().Add(Args, new byte[readable]).Add(Args + (ulong)readable + 1, Numbered(100));
        Expect.Equal(ArgumentTail.Zero, CopyIn(behind).Tail, "the tail of a size of 0, which has none");
    }

    [Theory]
    [InlineData(uint.MaxValue, ulong.MaxValue, ulong.MaxValue, ArgumentTail.Zero)]
    [InlineData(uint.MaxValue, uint.MaxValue - 1UL, ulong.MaxValue, ArgumentTail.NonZero)]
    [InlineData(uint.MaxValue, uint.MaxValue, ulong.MaxValue, ArgumentTail.Zero)]
    [InlineData(uint.MaxValue, ulong.MaxValue, uint.MaxValue - 1UL, ArgumentTail.Faulted)]
    [InlineData(uint.MaxValue, 0x8000_0000, 0x4000_0000, ArgumentTail.Faulted)]
    [InlineData(0x8000_0000, 0x7FFF_FFFF, ulong.MaxValue, ArgumentTail.NonZero)]
    public void A_size_of_up_to_4_GiB_is_looked_at_to_its_last_byte(uint size, ulong nonZeroAt, ulong faultAt, ArgumentTail expected)
    {
        var request = IoctlMarshaller.CopyIn(0x3B81, Args, new EndlessMemory(Args, size, nonZeroAt, faultAt));
        Expect.Equal(
            (4096, expected), (request.Argument.Length, request.Tail),
            $"bytes and tail of size {size}, with 0x{nonZeroAt:X} not zero and 0x{faultAt:X} not readable");
        Expect.Equal((uint)Math.Min(size, faultAt), request.WritableBytes, "writable bytes");
    }

    [Fact]
    public void A_buffer_that_a_command_reads_travels_with_its_bytes()
    {
        var memory = Memory(new IommuIoasAllowIovas { NumIovas = 2, AllowedIovas = Data }, Numbered(40), MemoryAccess.Read);
        var buffer = Only(IoctlMarshaller.CopyIn(0x3B82, Args, memory));
        Expect.Equal(
            (0, Data, 32UL, 32UL, 0UL), (buffer.Index, buffer.Address, buffer.Length, buffer.ReadableBytes, buffer.WritableBytes),
            "index, address, length, readable, writable");
        Expect.Sequence(Numbered(32), buffer.Content, "the content");
    }

    [Fact]
    public void A_buffer_that_a_command_writes_travels_without_bytes()
    {
        var memory = Memory(new IommuIoasIovaRanges { NumIovas = 2, AllowedIovas = Data }, Numbered(20));
        var buffer = Only(IoctlMarshaller.CopyIn(0x3B84, Args, memory));
        Expect.Equal(
            (Data, 32UL, 0UL, 20UL), (buffer.Address, buffer.Length, buffer.ReadableBytes, buffer.WritableBytes), "address, length, readable, writable");
        Expect.Sequence([], buffer.Content, "the content");
    }

    [Fact]
    public void A_buffer_that_a_command_reads_and_writes_travels_with_both_facts()
    {
        var memory = Memory(new IommuViommuAlloc { DataLen = 8, DataUptr = Data }, Numbered(8));
        var buffer = Only(IoctlMarshaller.CopyIn(0x3B90, Args, memory));
        Expect.Equal((8UL, 8UL, 8UL), (buffer.Length, buffer.ReadableBytes, buffer.WritableBytes), "length, readable, writable");
        Expect.Sequence(Numbered(8), buffer.Content, "the content");
    }

    [Fact]
    public void Memory_to_map_travels_as_what_can_be_read_and_written_and_no_byte_of_it()
    {
        var argument = new IommuIoasMap { Length = ulong.MaxValue, UserVa = Data };
        var memory = Memory(argument, Numbered(100)).Add(Data + 100, new byte[50], MemoryAccess.Read);
        var buffer = Only(IoctlMarshaller.CopyIn(0x3B85, Args, memory));
        Expect.Equal(
            (Data, ulong.MaxValue, 150UL, 100UL), (buffer.Address, buffer.Length, buffer.ReadableBytes, buffer.WritableBytes),
            "address, length, readable, writable");
        Expect.Sequence([], buffer.Content, "the content");
    }

    [Fact]
    public void A_buffer_that_leads_nowhere_or_is_cut_off_travels_as_far_as_it_can_be_read()
    {
        var nowhere = Memory(new IommuIoasAllowIovas { NumIovas = 2, AllowedIovas = Hole }, Numbered(40));
        var buffer = Only(IoctlMarshaller.CopyIn(0x3B82, Args, nowhere));
        Expect.Equal(
            (Hole, 32UL, 0UL, 0), (buffer.Address, buffer.Length, buffer.ReadableBytes, buffer.Content.Length),
            "address, length, readable, content of one that leads nowhere");
        var cut = Memory(new IommuIoasAllowIovas { NumIovas = 2, AllowedIovas = Data }, Numbered(17));
        buffer = Only(IoctlMarshaller.CopyIn(0x3B82, Args, cut));
        Expect.Equal((32UL, 17UL), (buffer.Length, buffer.ReadableBytes), "length and readable of one that is cut off");
        Expect.Sequence(Numbered(17), buffer.Content, "its content");
    }

    [Fact]
    public void Of_a_buffer_larger_than_the_bound_only_the_bound_travels()
    {
        var content = Numbered(IoctlLimits.MaxBufferBytes + 16);
        var memory = Memory(new IommuIoasAllowIovas { NumIovas = (uint)content.Length / 16, AllowedIovas = Data }, content);
        var buffer = Only(IoctlMarshaller.CopyIn(0x3B82, Args, memory));
        Expect.Equal((1_048_592UL, 1_048_592UL, 1_048_576), (buffer.Length, buffer.ReadableBytes, buffer.Content.Length), "length, readable, content");
        Expect.That(content.AsSpan(0, 1_048_576).SequenceEqual(buffer.Content), "The content is not the buffer's front.");
    }

    [Fact]
    public void A_buffer_without_a_length_does_not_travel()
    {
        var memory = Memory(new IommuIoasAllowIovas { NumIovas = 0, AllowedIovas = Data }, Numbered(40));
        Expect.Equal(null, IoctlMarshaller.CopyIn(0x3B82, Args, memory).Buffers, "the buffers of an empty list");
    }

    [Fact]
    public void Buffers_of_an_argument_that_is_too_short_or_of_no_command_do_not_travel()
    {
        var argument = new IommuIoasAllowIovas { Size = 23, NumIovas = 2, AllowedIovas = Data };
        Expect.Equal(null, IoctlMarshaller.CopyIn(0x3B82, Args, Memory(argument, Numbered(40))).Buffers, "the buffers of an argument below the smallest size");
        argument.Size = 24;
        Expect.Equal(null, IoctlMarshaller.CopyIn(0x3A82, Args, Memory(argument, Numbered(40))).Buffers, "the buffers of an ioctl number of another type");
        Expect.Equal(null, IoctlMarshaller.CopyIn(0x3B95, Args, Memory(argument, Numbered(40))).Buffers, "the buffers of an unused number");
    }

    // data_uptr stands at 32, the smallest size is 24: an older caller's pointer is zero-extended, as every field is (copy_struct_from_user).
    [Theory]
    [InlineData(40, 0x1122_3344_5566_7788)]
    [InlineData(36, 0x5566_7788)]
    [InlineData(33, 0x88)]
    [InlineData(32, 0)]
    public void A_pointer_that_an_argument_has_only_in_part_is_zero_extended(uint size, ulong address)
    {
        var argument = new IommuHwptAlloc { Size = size, DataLen = 4, DataUptr = 0x1122_3344_5566_7788 };
        var memory = new CallerMemory().Add(Args, UapiStruct.ToBytes(argument)).Add(address, Numbered(4));
        var buffer = Only(IoctlMarshaller.CopyIn(0x3B89, Args, memory));
        Expect.Equal((address, 4UL), (buffer.Address, buffer.Length), $"address and length of the data of an IOMMU_HWPT_ALLOC of {size} bytes");
        Expect.Sequence(Numbered(4), buffer.Content, "the data");
    }

    [Fact]
    public void The_test_commands_buffer_is_the_one_of_its_op()
    {
        var argument = new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.AccessRw };
        argument.Fields[1] = 5;
        argument.Fields[2] = Data;
        var buffer = Only(IoctlMarshaller.CopyIn(0x3BA0, Args, Memory(argument, Numbered(10))));
        Expect.Equal((3, Data, 5UL), (buffer.Index, buffer.Address, buffer.Length), "index, address and length of the buffer of ACCESS_RW");
        Expect.Equal((5UL, 5UL), (buffer.ReadableBytes, buffer.WritableBytes), "its readable and writable bytes");
        Expect.Sequence([], buffer.Content, "its content, which is copied on the caller's side and does not travel");
    }

    [Fact]
    public void The_SDKs_own_struct_is_readable_and_writable_and_has_no_buffers()
    {
        var request = IoctlMarshaller.FromBytes(0x3B81, Numbered(12));
        Expect.Sequence(Numbered(12), request.Argument, "the argument");
        Expect.Equal(
            (0x3B81U, ArgumentTail.Zero, 12U, null), (request.Command, request.Tail, request.WritableBytes, request.Buffers), "the rest of the request");
    }

    [Fact]
    public void What_a_reply_copies_back_goes_to_the_argument_and_to_the_buffers()
    {
        var (args, data) = (new byte[8], new byte[8]);
        var memory = new CallerMemory().Add(Args, args).Add(Data, data);
        var reply = new IoctlReply { Argument = [1, 2, 3], Buffers = [new UserBufferWrite(Data + 1, [4, 5]), new UserBufferWrite(Data + 6, [6, 7, 8])] };
        IoctlMarshaller.CopyOut(reply, Args, memory);
        Expect.Sequence<byte>([1, 2, 3, 0, 0, 0, 0, 0], args, "the argument");
        Expect.Sequence<byte>([0, 4, 5, 0, 0, 0, 6, 7], data, "the buffers, of which the last is cut off by the end of the memory");
    }

    [Fact]
    public void A_failed_ioctl_copies_back_too_where_its_reply_says_so()
    {
        var args = new byte[4];
        IoctlMarshaller.CopyOut(new IoctlReply { Errno = Errno.EMSGSIZE, Argument = [9] }, Args, new CallerMemory().Add(Args, args));
        Expect.Sequence<byte>([9, 0, 0, 0], args, "the argument");
    }

    [Fact]
    public void A_reply_without_bytes_changes_nothing()
    {
        var args = Numbered(8);
        IoctlMarshaller.CopyOut(IoctlReply.Success, Args, new CallerMemory().Add(Args, args));
        Expect.Sequence(Numbered(8), args, "the argument");
    }

    private static IoctlRequest CopyIn(ICallerMemory memory) => IoctlMarshaller.CopyIn(0x3B81, Args, memory);

    private static UserBuffer Only(IoctlRequest request)
    {
        Expect.Equal(1, request.Buffers?.Length ?? 0, $"buffers of {IoctlTable.Get((IommuCommand)request.Command)}");
        return request.Buffers![0];
    }

    private static byte[] Numbered(int count) => [.. Enumerable.Range(1, count).Select(i => (byte)i)];

    private static CallerMemory Memory<T>(T argument, byte[] data, MemoryAccess access = MemoryAccess.ReadWrite)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(argument);
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) == 0)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        }

        return new CallerMemory().Add(Args, bytes).Add(Data, data, access);
    }

    /// <summary>Zeros without end behind a size, but for one byte that is not zero, and up to one that can't be read. Offsets count from the start.</summary>
    private sealed class EndlessMemory(ulong start, uint size, ulong nonZeroAt, ulong faultAt) : ICallerMemory
    {
        public int Read(ulong address, Span<byte> destination)
        {
            var offset = address - start;
            var count = (int)Math.Min((ulong)destination.Length, faultAt - Math.Min(offset, faultAt));
            destination[..count].Clear();
            if (offset == 0)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(destination, size);
            }

            if (nonZeroAt - offset < (ulong)count)
            {
                destination[(int)(nonZeroAt - offset)] = 1;
            }

            return count;
        }

        public int Write(ulong address, ReadOnlySpan<byte> source) => throw new NotSupportedException();

        public ulong Accessible(ulong address, ulong length, MemoryAccess access) => Math.Min(length, faultAt - (address - start));
    }
}
