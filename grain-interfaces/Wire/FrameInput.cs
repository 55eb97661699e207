using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>A frame that has arrived whole. Its body is valid until the next one is read.</summary>
internal readonly ref struct Frame(FrameKind kind, uint tag, ReadOnlySpan<byte> body)
{
    public FrameKind Kind { get; } = kind;

    public uint Tag { get; } = tag;

    public ReadOnlySpan<byte> Body { get; } = body;
}

/// <summary>Takes frames from a connection.</summary>
internal sealed class FrameInput(PipeReader input)
{
    private long _waiting;

    /// <summary>Handles a frame.</summary>
    public delegate void Handler(Frame frame);

    /// <summary>The most bytes of a body.</summary>
    public int MaxBody { get; set; } = Hello.MaxBody;

    /// <summary>Hears how many bytes more wait for the rest of their frame, or less; may throw. Null where nobody counts them.</summary>
    public Action<long>? OnWaiting { get; set; }

    /// <summary>The tag of the frame that is being read.</summary>
    public uint Tag { get; private set; }

    /// <summary>Handles what frames have arrived, after waiting for one; at most <paramref name="most"/>.</summary>
    /// <returns>False if the peer has closed its end.</returns>
    public async ValueTask<bool> ReadAsync(Handler handle, int most, CancellationToken cancellationToken)
    {
        while (true)
        {
            var result = await input.ReadAsync(cancellationToken);
            var left = result.Buffer;
            var frames = 0;
            long waiting;
            try
            {
                while (frames < most && TryTake(ref left, handle))
                {
                    frames++;
                }
            }
            finally
            {
                waiting = frames > 0 && frames == most ? 0 : left.Length;
                input.AdvanceTo(left.Start, frames > 0 && frames == most ? left.Start : left.End);
            }

            Waits(waiting);
            if (frames > 0)
            {
                return true;
            }

            if (result.IsCompleted)
            {
                return waiting == 0 ? false : throw FrameException.Malformed("the connection ends within a frame");
            }
        }
    }

    /// <summary>Nothing is read any more, and so nothing waits.</summary>
    public void Forget() => Waits(0);

    private void Waits(long bytes)
    {
        var more = bytes - _waiting;
        _waiting = bytes;
        if (more != 0)
        {
            OnWaiting?.Invoke(more);
        }
    }

    private bool TryTake(ref ReadOnlySequence<byte> left, Handler handle)
    {
        if (left.Length < FrameWriter.HeaderBytes)
        {
            return false;
        }

        Span<byte> header = stackalloc byte[FrameWriter.HeaderBytes];
        left.Slice(0, FrameWriter.HeaderBytes).CopyTo(header);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(header);
        Tag = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        if (length > MaxBody)
        {
            throw FrameException.Malformed($"a body has {length} bytes, it may have {MaxBody}");
        }

        if (header[5..8].ContainsAnyExcept((byte)0))
        {
            throw FrameException.Malformed("a reserved byte of a header is not zero");
        }

        if (left.Length < FrameWriter.HeaderBytes + length)
        {
            return false;
        }

        var body = left.Slice(FrameWriter.HeaderBytes, length);
        left = left.Slice(body.End);
        if (body.IsSingleSegment)
        {
            handle(new Frame((FrameKind)header[4], Tag, body.FirstSpan));
            return true;
        }

        var copy = ArrayPool<byte>.Shared.Rent((int)length);
        try
        {
            body.CopyTo(copy);
            handle(new Frame((FrameKind)header[4], Tag, copy.AsSpan(0, (int)length)));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(copy);
        }

        return true;
    }
}
