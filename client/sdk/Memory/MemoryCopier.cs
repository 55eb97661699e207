using System.Buffers;
using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// The service says which bytes to copy and touches none of them. A copy can be as large as a program's buffers, so it runs in chunks.

/// <summary>Makes the copies in a caller's memory that a reply asks for.</summary>
internal static class MemoryCopier
{
    private const int ChunkBytes = 64 * 1024;

    /// <summary>Writes bytes to a buffer, up to the first that can't be written. Bits that are added are written wherever they can be.</summary>
    public static void Write(ICallerMemory memory, UserBufferWrite write)
    {
        if (write.IsOr)
        {
            Or(memory, write.Address, write.Content);
            return;
        }

        if (memory.Write(write.Address, write.Content) == write.Content.Length && write.ZeroBytes > 0)
        {
            Clear(memory, write.Address + (ulong)write.Content.Length, write.ZeroBytes);
        }
    }

    /// <summary>Copies between a buffer and the memory that IOVAs map. Returns what could not be copied; null if everything was.</summary>
    public static IoctlDiagnostic? Copy(ICallerMemory memory, UserCopy copy)
    {
        ulong done = 0;
        foreach (var piece in copy.Memory)
        {
            var copied = Run(piece.Length, (offset, chunk) => copy.IsWrite
                ? Move(chunk, bytes => memory.Read(copy.Buffer + done + offset, bytes), bytes => WritePiece(memory, piece, offset, bytes))
                : Move(chunk, bytes => ReadPiece(memory, piece, offset, bytes), bytes => memory.Write(copy.Buffer + done + offset, bytes)));
            done += copied;
            if (copied < piece.Length)
            {
                return new IoctlDiagnostic
                {
                    Reason = DiagnosticReason.BufferFault,
                    Value = done,
                    Limit = copy.Memory.Aggregate(0UL, (sum, piece) => sum + piece.Length),
                };
            }
        }

        return null;
    }

    private delegate int ByteReader(Span<byte> bytes);

    private delegate int ByteWriter(ReadOnlySpan<byte> bytes);

    // Runs over a length in chunks until one is cut short. Returns how many bytes it has done.
    private static ulong Run(ulong length, Func<ulong, Memory<byte>, int> run)
    {
        var chunk = ArrayPool<byte>.Shared.Rent((int)Math.Min(length, ChunkBytes));
        try
        {
            ulong done = 0;
            while (done < length)
            {
                var wanted = (int)Math.Min(length - done, (ulong)chunk.Length);
                var count = run(done, chunk.AsMemory(0, wanted));
                done += (ulong)count;
                if (count < wanted)
                {
                    break;
                }
            }

            return done;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    private static int Move(Memory<byte> chunk, ByteReader read, ByteWriter write) => write(chunk.Span[..read(chunk.Span)]);

    private static int ReadPiece(ICallerMemory memory, UserMemoryPiece piece, ulong offset, Span<byte> bytes)
        => piece.File is { } file ? memory.ReadFile(file, piece.Address + offset, bytes) : memory.Read(piece.Address + offset, bytes);

    private static int WritePiece(ICallerMemory memory, UserMemoryPiece piece, ulong offset, ReadOnlySpan<byte> bytes)
        => piece.File is { } file ? memory.WriteFile(file, piece.Address + offset, bytes) : memory.Write(piece.Address + offset, bytes);

    private static void Clear(ICallerMemory memory, ulong address, uint length) => Run(length, (offset, chunk) =>
    {
        chunk.Span.Clear();
        return memory.Write(address + offset, chunk.Span);
    });

    // Each byte of a bitmap has a meaning of its own, so that those that can't be accessed are skipped.
    private static void Or(ICallerMemory memory, ulong address, ReadOnlySpan<byte> bits)
    {
        var bytes = new byte[bits.Length];
        for (var done = 0; done < bits.Length;)
        {
            var at = address + (ulong)done;
            var count = memory.Read(at, bytes.AsSpan(done, (int)memory.Accessible(at, (ulong)(bits.Length - done), MemoryAccess.ReadWrite)));
            if (count == 0)
            {
                done++;
                continue;
            }

            for (var i = done; i < done + count; i++)
            {
                bytes[i] |= bits[i];
            }

            memory.Write(at, bytes.AsSpan(done, count));
            done += count;
        }
    }
}
