using System.Buffers;
using System.IO.Hashing;
using IommuFd.Grains.Proofs;
using Orleans.Serialization;

namespace IommuFd.Grains.Contexts;

// A context can be larger than any message may be, and Orleans packs up to a thousand migrating activations into one message. So only a
// small package travels with its activation. A larger one goes ahead, in pieces, to a grain on the destination (HandoverBox), and what
// travels with the activation is the ticket for it.

/// <summary>The ticket for a context's package that has gone ahead in pieces.</summary>
/// <param name="Id">The key of the box that has the pieces.</param>
/// <param name="Pieces">How many pieces there are.</param>
/// <param name="Checksum">The checksum over all of them, in order.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextTransfer")]
internal sealed record ContextTransfer([property: Id(0)] Guid Id, [property: Id(1)] int Pieces, [property: Id(2)] ulong Checksum)
{
    /// <summary>A package of at most so many bytes travels with its activation: a thousand of them are less than a message may have.</summary>
    public const int MaxBytesWithActivation = 64 << 10;

    private const int PieceBytes = 256 << 10;

    /// <summary>Sends a package ahead, unless it may travel with its activation. The silo that it goes to is the request context's hint.</summary>
    /// <returns>The ticket; null for a small package, of which nothing was sent.</returns>
    /// <exception cref="InvalidOperationException">A piece was lost.</exception>
    public static async ValueTask<ContextTransfer?> SendAsync(ContextPackage package, Serializer serializer, IGrainFactory grains, SiloProof proof)
    {
        var writer = new PieceWriter();
        serializer.Serialize(package, writer);
        var pieces = writer.Pieces;
        if (pieces.Count == 1 && pieces.Peek().Length <= MaxBytesWithActivation)
        {
            return null;
        }

        var id = Guid.NewGuid();
        var box = grains.GetGrain<IHandoverBox>(id);
        var (checksum, count) = (new XxHash3(), 0);
        try
        {
            for (; pieces.TryDequeue(out var piece); count++)
            {
                checksum.Append(piece);
                if (!await box.AddAsync(proof, count, piece))
                {
                    throw new InvalidOperationException($"The silo that it goes to has lost a piece before piece {count}.");
                }
            }
        }
        catch
        {
            box.EndAsync(proof).Ignore();
            throw;
        }

        return new ContextTransfer(id, count, checksum.GetCurrentHashAsUInt64());
    }

    /// <summary>Fetches the package; null where it has not arrived whole.</summary>
    public async ValueTask<ContextPackage?> ReceiveAsync(Serializer serializer, IGrainFactory grains, SiloProof proof)
    {
        var box = grains.GetGrain<IHandoverBox>(Id);
        var checksum = new XxHash3();
        PieceSegment? first = null;
        PieceSegment? last = null;
        for (var number = 0; number < Pieces; number++)
        {
            if (await box.TakeAsync(proof, number) is not { } piece)
            {
                return null;
            }

            checksum.Append(piece);
            last = new PieceSegment(last, piece);
            first ??= last;
        }

        box.EndAsync(proof).Ignore();
        return first is not null && checksum.GetCurrentHashAsUInt64() == Checksum
            ? serializer.Deserialize<ContextPackage>(new ReadOnlySequence<byte>(first, 0, last!, last!.Memory.Length))
            : null;
    }

    /// <summary>Writes bytes as pieces of about the same size.</summary>
    private sealed class PieceWriter : IBufferWriter<byte>
    {
        private readonly Queue<byte[]> _pieces = [];
        private byte[] _last = [];
        private int _written;

        /// <summary>What was written. Nothing may be written any more.</summary>
        public Queue<byte[]> Pieces
        {
            get
            {
                End(0);
                return _pieces;
            }
        }

        public void Advance(int count) => _written += count;

        public Memory<byte> GetMemory(int sizeHint = 0)
        {
            if (_last.Length - _written < Math.Max(1, sizeHint))
            {
                End(Math.Max(sizeHint, PieceBytes));
            }

            return _last.AsMemory(_written);
        }

        public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

        private void End(int next)
        {
            if (_written > 0)
            {
                _pieces.Enqueue(_written == _last.Length ? _last : _last[.._written]);
            }

            (_last, _written) = (new byte[next], 0);
        }
    }

    private sealed class PieceSegment : ReadOnlySequenceSegment<byte>
    {
        public PieceSegment(PieceSegment? before, byte[] piece)
        {
            Memory = piece;
            if (before is not null)
            {
                RunningIndex = before.RunningIndex + before.Memory.Length;
                before.Next = this;
            }
        }
    }
}
