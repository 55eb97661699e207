using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Ioas;

// The bitmap of dirty pages as it travels: pieces, put together again, must be the bitmap that a plain loop over all bits makes.

public sealed class BitmapPiecesTests
{
    // The shift of the pages that are dirty, and that of the bitmap's: larger, equal and smaller.
    [Theory]
    [InlineData(1, 11, 11)]
    [InlineData(2, 11, 12)]
    [InlineData(3, 11, 16)]
    [InlineData(4, 12, 11)]
    [InlineData(5, 12, 6)]
    public void Pieces_put_together_are_the_bitmap(int seed, int dirtyShift, int shift)
    {
        var random = new Random(seed);
        for (var round = 0; round < 300; round++)
        {
            var what = $"round {round} of seed {seed}";
            var dirty = new DirtyPages(1UL << dirtyShift);
            var unit = 1UL << Math.Max(dirtyShift, shift);
            var start = (ulong)random.Next(100) * unit;
            var within = new IovaRange(start, start + ((ulong)random.Next(1, 300) * unit) - 1);
            var count = random.Next(3) switch { 0 => 0, 1 => random.Next(5), _ => random.Next(200) };
            for (var i = 0; i < count; i++)
            {
                dirty.Set((ulong)random.NextInt64((long)(within.Last + (10 * unit))));
            }

            var longestZeroRun = random.Next(4) * 5;
            List<BitmapPiece> pieces = [];
            Expect.That(BitmapPieces.TryCollect(dirty.Runs(within), within, shift, longestZeroRun, pieces), $"{what}: the bitmap was too large.");
            Expect.Sequence(Naive(dirty, within, shift), Bitmap(pieces, within, shift), $"{what}: the bitmap of {within}");
            ExpectTight(pieces, longestZeroRun, what);
        }
    }

    [Fact]
    public void Nothing_dirty_is_no_piece()
    {
        List<BitmapPiece> pieces = [];
        Expect.That(BitmapPieces.TryCollect([], new IovaRange(0, ulong.MaxValue), 12, 64, pieces), "An empty bitmap was too large.");
        Expect.Equal(0, pieces.Count, "pieces");
    }

    [Theory]
    [InlineData(64, 1)]
    [InlineData(65, 2)]
    public void A_piece_has_as_many_zero_bytes_between_others_as_it_may(int zeros, int expected)
    {
        List<BitmapPiece> pieces = [];
        var second = (ulong)(zeros + 1) * 8;
        BitmapPieces.TryCollect([new(0, 0), new(second, second)], new IovaRange(0, 1 << 20), 0, 64, pieces);
        Expect.Equal(expected, pieces.Count, $"pieces of two bits with {zeros} zero bytes between them");
    }

    [Fact]
    public void Zero_bytes_that_travel_count_and_bytes_that_runs_share_count_once()
    {
        // Every 512th bit: 1 byte in 64 has a bit, all 64 travel.
        const ulong Bits = IoctlLimits.MaxBufferBytes * 8UL;
        List<BitmapPiece> pieces = [];
        var sparse = Runs(Bits + 1024, 512);
        Expect.That(!BitmapPieces.TryCollect(sparse, new IovaRange(0, 2 * Bits), 0, 64, pieces), "More zero bytes than a reply carries were taken.");
        Expect.Equal(0, pieces.Count, "pieces of what is too large");

        // Every second bit: four runs a byte, and exactly as many bytes as fit.
        Expect.That(BitmapPieces.TryCollect(Runs(Bits, 2), new IovaRange(0, Bits - 1), 0, 64, pieces), "A bitmap that fits was refused.");
        Expect.Equal(IoctlLimits.MaxBufferBytes, pieces.Sum(piece => piece.Bits.Length), "bytes of the pieces");

        static IEnumerable<IovaRange> Runs(ulong bits, ulong every)
        {
            for (ulong bit = 0; bit < bits; bit += every)
            {
                yield return new IovaRange(bit, bit);
            }
        }
    }

    [Fact]
    public void Bits_far_from_each_other_are_pieces_of_their_own_up_to_the_end_of_all_IOVAs()
    {
        List<BitmapPiece> pieces = [];
        IovaRange[] runs = [new(0, 0xFFF), new(0x8000, 0x9FFF), new(0xFFFF_FFFF_FFFF_F000, ulong.MaxValue)];
        Expect.That(BitmapPieces.TryCollect(runs, IovaRange.All, 12, 64, pieces), "The bitmap was too large.");
        Expect.Sequence([0UL, (1UL << 49) - 1], pieces.Select(piece => piece.Offset), "offsets of the pieces");
        Expect.Sequence<byte>([0x01, 0x03, 0x80], pieces.SelectMany(piece => piece.Bits), "bytes of the pieces");
    }

    [Fact]
    public void More_than_a_reply_carries_is_too_large_and_leaves_no_piece()
    {
        const ulong Bits = IoctlLimits.MaxBufferBytes * 8UL;
        List<BitmapPiece> pieces = [];
        Expect.That(BitmapPieces.TryCollect([new IovaRange(0, Bits - 1)], IovaRange.All, 0, 64, pieces), "All that a reply carries was too large.");
        Expect.Sequence([IoctlLimits.MaxBufferBytes], pieces.Select(piece => piece.Bits.Length), "bytes of the pieces");
        Expect.That(pieces[0].Bits.AsSpan().IndexOfAnyExcept((byte)0xFF) < 0, "A bit of the run is not set.");
        pieces.Clear();
        IovaRange[] runs = [new(0, 15), new(1 << 20, (1 << 20) + Bits - 1)];
        Expect.That(!BitmapPieces.TryCollect(runs, IovaRange.All, 0, 64, pieces), "More than a reply carries was not too large.");
        Expect.Equal(0, pieces.Count, "pieces of a bitmap that is too large");
    }

    // The bits of two pieces are further apart than a piece costs, so a bitmap that fits whole fits in pieces too.
    [Theory]
    [InlineData(66, IoctlLimits.MaxBufferBytes / 66, true)]
    [InlineData(66, (IoctlLimits.MaxBufferBytes / 65) + 2, false)]
    [InlineData(1000, IoctlLimits.MaxBufferBytes / 65, true)]
    [InlineData(1000, (IoctlLimits.MaxBufferBytes / 65) + 2, false)]
    public void A_piece_counts_as_more_than_its_bytes(int distance, int count, bool fits)
    {
        List<BitmapPiece> pieces = [];
        var runs = Enumerable.Range(0, count).Select(i => (ulong)i * (ulong)distance * 8).Select(bit => new IovaRange(bit, bit));
        Expect.Equal(fits, BitmapPieces.TryCollect(runs, IovaRange.All, 0, 64, pieces), $"whether {count} pieces of a byte fit");
        Expect.Equal(fits ? count : 0, pieces.Count, "pieces");
    }

    private static byte[] Naive(DirtyPages dirty, IovaRange within, int shift)
    {
        var bits = (int)((within.Last - within.Start + 1) >> shift);
        var bitmap = new byte[(bits + 7) / 8];
        for (var bit = 0; bit < bits; bit++)
        {
            var page = within.Start + ((ulong)bit << shift);
            if (dirty.Runs(new IovaRange(page, page + ((1UL << shift) - 1))).Any())
            {
                bitmap[bit / 8] |= (byte)(1 << (bit % 8));
            }
        }

        return bitmap;
    }

    private static byte[] Bitmap(List<BitmapPiece> pieces, IovaRange within, int shift)
    {
        var bits = (int)((within.Last - within.Start + 1) >> shift);
        var bitmap = new byte[(bits + 7) / 8];
        foreach (var piece in pieces)
        {
            piece.Bits.CopyTo(bitmap, (int)piece.Offset);
        }

        return bitmap;
    }

    // Pieces ascend, start and end with a byte that isn't zero, and carry no zero bytes but short runs between others.
    private static void ExpectTight(List<BitmapPiece> pieces, int longestZeroRun, string what)
    {
        var end = 0UL;
        foreach (var piece in pieces)
        {
            Expect.That(piece.Offset >= end, $"{what}: the piece at {piece.Offset} starts before {end}, where the one before it ends.");
            Expect.That(piece.Bits[0] != 0 && piece.Bits[^1] != 0, $"{what}: the piece at {piece.Offset} starts or ends with a zero byte.");
            Expect.That(piece.Bits.AsSpan().IndexOf(new byte[longestZeroRun + 1]) < 0, $"{what}: the piece at {piece.Offset} carries a longer run of zeros.");
            end = piece.Offset + (ulong)piece.Bits.Length;
        }
    }
}
