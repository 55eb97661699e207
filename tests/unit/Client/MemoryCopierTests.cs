using CsCheck;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// How the bytes move that a reply speaks of. Which ones they are, the service decides.

public sealed class MemoryCopierTests
{
    private const ulong Buffer = 0x10_0000;
    private const ulong Low = 0x20_0000;
    private const ulong High = 0x90_0000;
    private const int FileDescriptor = 5;
    private static readonly UserFile Memfd = new("memfd:ram", IsMemfd: true, 1 << 20);
    private static readonly MappedFile MappedMemfd = new("memfd:ram");

    [Fact]
    public void A_write_copies_from_the_buffer_to_each_piece_in_order()
    {
        var (low, high, file) = (new byte[8], new byte[8], new byte[8]);
        var memory = Memory([1, 2, 3, 4, 5, 6], low, high, file);
        Expect.Equal(null, MemoryCopier.Copy(memory, Write(Piece(High + 6, 2), Piece(Low, 1), FilePiece(2, 3))), "what could not be copied");
        Expect.Sequence<byte>([0, 0, 0, 0, 0, 0, 1, 2], high, "the first piece");
        Expect.Sequence<byte>([3, 0, 0, 0, 0, 0, 0, 0], low, "the second piece");
        Expect.Sequence<byte>([0, 0, 4, 5, 6, 0, 0, 0], file, "the third piece, in a file");
    }

    [Fact]
    public void A_read_copies_from_each_piece_in_order_to_the_buffer()
    {
        var buffer = new byte[6];
        var memory = Memory(buffer, [1, 2, 3], [4, 5, 6], [7, 8, 9]);
        Expect.Equal(null, MemoryCopier.Copy(memory, Read(Piece(High + 1, 2), Piece(Low, 1), FilePiece(1, 2))), "what could not be copied");
        Expect.Sequence<byte>([5, 6, 1, 8, 9, 0], buffer, "the buffer");
    }

    [Theory]
    [InlineData(65_535)]
    [InlineData(65_536)]
    [InlineData(65_537)]
    [InlineData(200_000)]
    public void Pieces_larger_than_a_chunk_are_copied_whole(int length)
    {
        var (source, target) = (Numbered(length + 1), new byte[length + 1]);
        var memory = Memory(source, target, new byte[1], []);
        Expect.Equal(null, MemoryCopier.Copy(memory, Write(Piece(Low, (ulong)length), Piece(High, 1))), $"what could not be copied of {length} bytes");
        Expect.That(source.AsSpan(0, length).SequenceEqual(target.AsSpan(0, length)), $"A piece of {length} bytes is not what was written.");
        Expect.Equal(0, target[length], $"the byte behind {length}");

        var read = new byte[length];
        memory = Memory(read, source, [], []);
        Expect.Equal(null, MemoryCopier.Copy(memory, Read(Piece(Low, (ulong)length))), $"what could not be copied back of {length} bytes");
        Expect.That(source.AsSpan(0, length).SequenceEqual(read), $"A buffer of {length} bytes is not what was read.");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_piece_that_cannot_be_reached_ends_a_copy_and_says_how_far_it_came(bool isWrite)
    {
        var (buffer, low) = (Numbered(100), new byte[10]);
        var memory = Memory(buffer, low, new byte[100], []);
        var copy = new UserCopy(Buffer, [Piece(High, 4), Piece(Low + 3, 9), Piece(High, 2)], isWrite);
        var fault = MemoryCopier.Copy(memory, copy);
        Expect.Equal(
            (DiagnosticReason.BufferFault, 11UL, 15UL), (fault?.Reason ?? default, fault?.Value ?? 0, fault?.Limit ?? 0),
            "reason, bytes copied and bytes wanted, of a piece that has 7 of its 9 bytes");
        if (isWrite)
        {
            Expect.Sequence<byte>([0, 0, 0, 5, 6, 7, 8, 9, 10, 11], low, "the bytes before the fault, which are copied");
        }
        else
        {
            Expect.Sequence<byte>([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12], buffer[..12], "the buffer, of which the bytes before the fault are copied");
        }
    }

    [Theory]
    [InlineData(true, MemoryAccess.Read)]
    [InlineData(false, MemoryAccess.Write)]
    public void Memory_that_does_not_permit_the_copy_cannot_be_reached(bool isWrite, MemoryAccess access)
    {
        var memory = new CallerMemory().Add(Buffer, new byte[8]).Add(Low, new byte[8], access);
        var fault = MemoryCopier.Copy(memory, new UserCopy(Buffer, [Piece(Low, 8)], isWrite));
        Expect.Equal((0UL, 8UL), (fault?.Value ?? 9, fault?.Limit ?? 9), $"bytes copied and wanted of memory that permits {access}");
    }

    [Fact]
    public void A_buffer_and_a_file_that_end_too_early_end_a_copy_too()
    {
        var memory = Memory(new byte[5], new byte[8], new byte[8], new byte[8]);
        Expect.Equal(5UL, MemoryCopier.Copy(memory, Write(Piece(Low, 4), Piece(High, 4)))?.Value ?? 0, "bytes copied from a buffer of 5");
        Expect.Equal(5UL, MemoryCopier.Copy(memory, Read(Piece(Low, 4), Piece(High, 4)))?.Value ?? 0, "bytes copied to a buffer of 5");
        Expect.Equal(3UL, MemoryCopier.Copy(memory, Read(FilePiece(5, 4)))?.Value ?? 0, "bytes copied of the last 3 of a file");
        Expect.Equal(0UL, MemoryCopier.Copy(memory, Write(FilePiece(8, 1)))?.Value ?? 9, "bytes copied past the end of a file");
        Expect.Equal(0UL, MemoryCopier.Copy(memory, Read(new UserMemoryPiece(new MappedFile("memfd:other"), 0, 1)))?.Value ?? 9, "bytes copied of a file that isn't there");
    }

    [Fact]
    public void A_fault_beyond_the_first_chunk_says_how_far_the_copy_came()
    {
        var memory = Memory(Numbered(300_000), new byte[150_001], new byte[1], []);
        var fault = MemoryCopier.Copy(memory, Write(Piece(High, 1), Piece(Low, 200_000)));
        Expect.Equal((150_002UL, 200_001UL), (fault?.Value ?? 0, fault?.Limit ?? 0), "bytes copied and wanted");
    }

    [Fact]
    public void Any_pieces_are_copied_as_a_byte_by_byte_copy_does()
    {
        var piece = Gen.Select(Gen.Bool, Gen.Int[0, 40], Gen.Int[1, 20]);
        Gen.Select(piece.Array[1, 6], Gen.Bool, Gen.Int[0, 80]).Sample(
            (pieces, isWrite, bufferBytes) =>
            {
                var (buffer, target) = (Numbered(bufferBytes + 1)[..bufferBytes], Numbered(48));
                var (expectedBuffer, expectedTarget) = (buffer.ToArray(), target.ToArray());
                var memory = new CallerMemory().AddFile(FileDescriptor, Memfd, target).Add(Low, target);
                if (bufferBytes > 0)
                {
                    memory.Add(Buffer, buffer);
                }

                var all = pieces.SelectMany(piece => Enumerable.Range(piece.Item2, piece.Item3)).ToArray();
                var copied = 0;
                for (; copied < all.Length && copied < bufferBytes && all[copied] < expectedTarget.Length; copied++)
                {
                    if (isWrite)
                    {
                        expectedTarget[all[copied]] = expectedBuffer[copied];
                    }
                    else
                    {
                        expectedBuffer[copied] = expectedTarget[all[copied]];
                    }
                }

                var wanted = pieces.Select(piece => piece.Item1 ? FilePiece((ulong)piece.Item2, (ulong)piece.Item3) : Piece(Low + (ulong)piece.Item2, (ulong)piece.Item3));
                var fault = MemoryCopier.Copy(memory, new UserCopy(Buffer, [.. wanted], isWrite));

                Expect.Equal(copied == all.Length ? null : (ulong)copied, fault?.Value, $"bytes copied before a fault, of {all.Length} with a buffer of {bufferBytes}");
                Expect.Sequence(expectedBuffer, buffer, "the buffer");
                Expect.Sequence(expectedTarget, target, "the memory");
            },
            iter: 2000,
            threads: 1);
    }

    [Fact]
    public void Zeros_are_written_behind_the_content_also_where_they_are_many()
    {
        var target = Filled(200_010);
        MemoryCopier.Write(new CallerMemory().Add(Low, target), new UserBufferWrite(Low + 1, [1, 2]) { ZeroBytes = 200_000 });
        Expect.Sequence<byte>([0xFF, 1, 2, 0], target[..4], "the front");
        Expect.That(target.AsSpan(3, 200_000).IndexOfAnyExcept((byte)0) < 0, "One of the 200000 bytes behind the content is not zero.");
        Expect.Equal(0xFF, target[200_003], "the byte behind the zeros");
    }

    [Fact]
    public void Zeros_end_where_the_memory_does_and_none_are_written_behind_a_content_that_was_cut_off()
    {
        var target = Filled(8);
        MemoryCopier.Write(new CallerMemory().Add(Low, target), new UserBufferWrite(Low, [1]) { ZeroBytes = uint.MaxValue });
        Expect.Sequence<byte>([1, 0, 0, 0, 0, 0, 0, 0], target, "the memory, to its end");

        var (front, behind) = (Filled(2), Filled(4));
        var memory = new CallerMemory().Add(Low, front).Add(Low + 3, behind);
        MemoryCopier.Write(memory, new UserBufferWrite(Low, [1, 2, 3]) { ZeroBytes = 4 });
        Expect.Sequence<byte>([1, 2], front, "the memory before the hole");
        Expect.Sequence(Filled(4), behind, "the memory behind the hole");
    }

    [Fact]
    public void Added_bits_keep_those_that_are_there()
    {
        byte[] target = [0b0000_0001, 0b1111_0000, 0, 0b1010_1010];
        MemoryCopier.Write(new CallerMemory().Add(Low, target), new UserBufferWrite(Low, [0b0000_0010, 0b0001_1000, 0]) { IsOr = true });
        Expect.Sequence<byte>([0b0000_0011, 0b1111_1000, 0, 0b1010_1010], target, "the bitmap");
    }

    [Fact]
    public void Added_bits_pass_over_what_cannot_be_accessed()
    {
        var (first, last) = (new byte[2], new byte[2]);
        var (readOnly, writeOnly) = (new byte[2], new byte[2]);
        var memory = new CallerMemory().Add(Low, first).Add(Low + 2, readOnly, MemoryAccess.Read).Add(Low + 6, writeOnly, MemoryAccess.Write).Add(Low + 8, last);
        MemoryCopier.Write(memory, new UserBufferWrite(Low - 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) { IsOr = true });
        Expect.Sequence<byte>([2, 3], first, "what lies before");
        Expect.Sequence<byte>([0, 0], readOnly, "what can't be written");
        Expect.Sequence<byte>([0, 0], writeOnly, "what can't be read");
        Expect.Sequence<byte>([10, 11], last, "what lies behind");
    }

    private static UserCopy Write(params UserMemoryPiece[] pieces) => new(Buffer, pieces, IsWrite: true);

    private static UserCopy Read(params UserMemoryPiece[] pieces) => new(Buffer, pieces, IsWrite: false);

    private static UserMemoryPiece Piece(ulong address, ulong length) => new(null, address, length);

    private static UserMemoryPiece FilePiece(ulong offset, ulong length) => new(MappedMemfd, offset, length);

    private static CallerMemory Memory(byte[] buffer, byte[] low, byte[] high, byte[] file)
    {
        var memory = new CallerMemory().AddFile(FileDescriptor, Memfd, file);
        foreach (var (address, bytes) in new[] { (Buffer, buffer), (Low, low), (High, high) })
        {
            if (bytes.Length > 0)
            {
                memory.Add(address, bytes);
            }
        }

        return memory;
    }

    private static byte[] Numbered(int count) => [.. Enumerable.Range(1, count).Select(i => (byte)i)];

    private static byte[] Filled(int count)
    {
        var bytes = new byte[count];
        bytes.AsSpan().Fill(0xFF);
        return bytes;
    }
}
