using System.Numerics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.IoPagetable;

// A sparse bitmap with one bit per page, in 64-bit words by their index. Devices write few pages between two reads of the bitmap, and areas
// lie anywhere in 2^64, so only words with a bit set are kept. A short range is walked word by word, a long one by the words that exist:
// either way the cost is bounded by the number of dirty pages.
//
// Always: no word is zero; Count is the number of bits.

/// <summary>A set of pages.</summary>
internal sealed class DirtyPages(ulong pageSize)
{
    private const int WordBits = 64;

    private readonly int _shift = BitOperations.TrailingZeroCount(pageSize);
    private readonly Dictionary<ulong, ulong> _words = [];

    /// <summary>Pages in the set.</summary>
    public long Count { get; private set; }

    /// <summary>Adds the page that contains an IOVA.</summary>
    public void Set(ulong iova)
    {
        var page = iova >> _shift;
        var word = _words.GetValueOrDefault(page / WordBits);
        var bit = 1UL << (int)(page % WordBits);
        Count += (word & bit) == 0 ? 1 : 0;
        _words[page / WordBits] = word | bit;
    }

    /// <summary>Removes every page that overlaps a range.</summary>
    public void Clear(IovaRange range)
    {
        foreach (var (index, bits) in Words(range).ToList())
        {
            Count -= BitOperations.PopCount(bits);
            if ((_words[index] &= ~bits) == 0)
            {
                _words.Remove(index);
            }
        }
    }

    /// <summary>The pages that overlap a range, ascending, with adjacent pages joined.</summary>
    public IEnumerable<IovaRange> Runs(IovaRange range)
    {
        (ulong First, ulong Last)? run = null;
        foreach (var (index, bits) in Words(range))
        {
            for (var rest = bits; rest != 0; rest &= rest - 1)
            {
                var page = (index * WordBits) + (ulong)BitOperations.TrailingZeroCount(rest);
                if (run is { } open && open.Last + 1 == page)
                {
                    run = (open.First, page);
                    continue;
                }

                if (run is { } done)
                {
                    yield return RangeOf(done.First, done.Last);
                }

                run = (page, page);
            }
        }

        if (run is { } last)
        {
            yield return RangeOf(last.First, last.Last);
        }
    }

    /// <summary>Saves the set as two columns: the index of each word, and its bits.</summary>
    public (DeltaColumn Words, DeltaColumn Bits) Save()
    {
        var (words, bits) = (new ColumnWriter(), new ColumnWriter());
        foreach (var (index, value) in _words.OrderBy(word => word.Key))
        {
            words.Add(index);
            bits.Add(value);
        }

        return (words.ToColumn(), bits.ToColumn());
    }

    /// <summary>Restores a saved set into an empty one.</summary>
    public void Restore(DeltaColumn words, DeltaColumn bits)
    {
        var (indexes, values) = (words.Read(), bits.Read());
        while (indexes.TryNext(out var index))
        {
            var value = values.Next();
            SnapshotFormat.Require(value != 0 && index <= (ulong.MaxValue >> _shift) / WordBits && _words.TryAdd(index, value), "A word of dirty pages is empty, out of range or repeated.");
            Count += BitOperations.PopCount(value);
        }

        values.End();
    }

    private IovaRange RangeOf(ulong firstPage, ulong lastPage) => new(firstPage << _shift, (lastPage << _shift) | (pageSize - 1));

    // The bits of a range, word by word, ascending.
    private IEnumerable<(ulong Index, ulong Bits)> Words(IovaRange range)
    {
        var (first, last) = (range.Start >> _shift, range.Last >> _shift);
        var (firstWord, lastWord) = (first / WordBits, last / WordBits);
        IEnumerable<ulong> indexes = lastWord - firstWord < (ulong)_words.Count
            ? Indexes(firstWord, lastWord)
            : _words.Keys.Where(index => index >= firstWord && index <= lastWord).Order();
        foreach (var index in indexes)
        {
            var bits = _words.GetValueOrDefault(index);
            bits &= index == firstWord ? ulong.MaxValue << (int)(first % WordBits) : ulong.MaxValue;
            bits &= index == lastWord ? ulong.MaxValue >> (int)(WordBits - 1 - (last % WordBits)) : ulong.MaxValue;
            if (bits != 0)
            {
                yield return (index, bits);
            }
        }
    }

    private static IEnumerable<ulong> Indexes(ulong first, ulong last)
    {
        for (var index = first; index <= last; index++)
        {
            yield return index;
        }
    }
}
