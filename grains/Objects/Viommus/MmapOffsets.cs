using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;

namespace IommuFd.Grains.Objects.Viommus;

// What a program can map through the context's file (the kernel's mt_mmap): the lowest gap that is large enough, from the second page on, so that offset 0
// is no one's.

/// <summary>The offsets of a context's file at which objects' pages can be mapped.</summary>
internal sealed class MmapOffsets
{
    private readonly SortedList<ulong, IovaRange> _taken = [];

    /// <summary>Takes the lowest gap of a size in whole pages.</summary>
    public IovaRange Take(ulong bytes)
    {
        var start = PageSizes.Page;
        foreach (var range in _taken.Values)
        {
            if (range.Start - start >= bytes)
            {
                break;
            }

            start = range.Last + 1;
        }

        var gap = new IovaRange(start, start + (bytes - 1));
        _taken.Add(start, gap);
        return gap;
    }

    /// <summary>Takes a range that was taken before; false where a part of it is taken.</summary>
    public bool TryTake(IovaRange range)
    {
        if (_taken.Values.Any(other => other.Overlaps(range)))
        {
            return false;
        }

        _taken.Add(range.Start, range);
        return true;
    }

    /// <summary>Gives a range back.</summary>
    public void Free(IovaRange range) => _taken.Remove(range.Start);
}
