using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>Makes a bitmap of runs of IOVAs, without the long stretches of it that are zero.</summary>
internal static class BitmapPieces
{
    /// <summary>Collects the bytes that have a bit.</summary>
    /// <param name="runs">The runs, ascending.</param>
    /// <param name="within">What the bitmap stands for, from its first bit on.</param>
    /// <param name="shift">What one bit stands for: 2^shift bytes.</param>
    /// <param name="longestZeroRun">Zero bytes that a piece may have between others: as many as another piece costs.</param>
    /// <param name="pieces">Gets the pieces, ascending.</param>
    /// <returns>False where they are more than one reply carries.</returns>
    public static bool TryCollect(IEnumerable<IovaRange> runs, IovaRange within, int shift, int longestZeroRun, List<BitmapPiece> pieces)
    {
        var bytes = new List<byte>();
        var total = 0UL;
        ulong start = 0;
        foreach (var run in runs)
        {
            var first = (Math.Max(run.Start, within.Start) - within.Start) >> shift;
            var last = (Math.Min(run.Last, within.Last) - within.Start) >> shift;
            if (bytes.Count == 0 || (first / 8) - start > (ulong)(bytes.Count + longestZeroRun))
            {
                Close();
                start = first / 8;
                total += pieces.Count > 0 ? (ulong)longestZeroRun : 0;
            }

            // Bytes that the piece grows by, zeros before this run included.
            total += (last / 8) + 1 - start - (ulong)bytes.Count;
            if (total > IoctlLimits.MaxBufferBytes)
            {
                pieces.Clear();
                return false;
            }

            Set(bytes, first - (start * 8), last - (start * 8));
        }

        Close();
        return true;

        void Close()
        {
            if (bytes.Count > 0)
            {
                pieces.Add(new BitmapPiece(start, [.. bytes]));
                bytes.Clear();
            }
        }
    }

    private static void Set(List<byte> bytes, ulong first, ulong last)
    {
        while ((ulong)bytes.Count <= last / 8)
        {
            bytes.Add(0);
        }

        for (var bit = first; bit <= last; bit++)
        {
            bytes[(int)(bit / 8)] |= (byte)(1 << (int)(bit % 8));
        }
    }
}
