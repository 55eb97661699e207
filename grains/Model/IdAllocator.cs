using System.Numerics;

namespace IommuFd.Grains.Model;

// Which ids are taken: a tree of bitmaps, 64 children a node. In the lowest level a set bit is a taken id; above it a set bit is
// a full word below. The lowest free id is found by following the first clear bit from the top, so that allocating and freeing
// cost O(log64 n), which is the same handful of words at 10 and at 10^6 ids.
//
// Always: a bit of level k is set exactly if its word of level k - 1 is all ones; a word that an array does not reach is zero;
// id 0 is taken from the start, as in an xarray with XA_FLAGS_ALLOC1.

/// <summary>Hands out the lowest free id from 1 to 2^31 - 1.</summary>
internal sealed class IdAllocator
{
    /// <summary>The greatest id, <c>xa_limit_31b</c>.</summary>
    public const uint Max = int.MaxValue;

    private const int WordBits = 64;
    private const int WordBitsLog2 = 6;

    private readonly List<ulong[]> _levels = [];

    public IdAllocator() => Reset();

    /// <summary>Ids that are taken.</summary>
    public int Count { get; private set; }

    /// <summary>Takes the lowest free id.</summary>
    public bool TryAllocate(out uint id)
    {
        id = 0;
        if (Count == Max)
        {
            return false;
        }

        if (_levels[^1][0] == ulong.MaxValue)
        {
            _levels.Add([1UL]);
        }

        long index = 0;
        for (var level = _levels.Count - 1; level >= 0; level--)
        {
            index = (index * WordBits) + BitOperations.TrailingZeroCount(~Word(level, index));
        }

        Set((uint)index);
        Count++;
        id = (uint)index;
        return true;
    }

    /// <summary>Takes an id that is not the lowest free one, as restoring a table does; false where it is taken.</summary>
    public bool TryTake(uint id)
    {
        if (IsTaken(id))
        {
            return false;
        }

        while ((long)id >> (_levels.Count * WordBitsLog2) > 0)
        {
            _levels.Add([_levels[^1][0] == ulong.MaxValue ? 1UL : 0]);
        }

        Set(id);
        Count++;
        return true;
    }

    /// <summary>Whether an id is taken; 0 is from the start.</summary>
    public bool IsTaken(uint id) => (Word(0, id / WordBits) & (1UL << (int)(id % WordBits))) != 0;

    /// <summary>Gives an id back that is taken.</summary>
    public void Free(uint id)
    {
        Count--;
        if (Count == 0 && _levels.Count > 1)
        {
            Reset();
            return;
        }

        var index = id;
        foreach (var level in _levels)
        {
            ref var word = ref level[index / WordBits];
            var wasFull = word == ulong.MaxValue;
            word &= ~(1UL << (int)(index % WordBits));
            if (!wasFull)
            {
                return;
            }

            index /= WordBits;
        }
    }

    /// <summary>Gives every id back.</summary>
    public void Clear()
    {
        Count = 0;
        Reset();
    }

    private void Reset()
    {
        _levels.Clear();
        _levels.Add([1UL]);
    }

    private void Set(uint index)
    {
        for (var level = 0; level < _levels.Count; level++)
        {
            var words = _levels[level];
            var at = (int)(index / WordBits);
            if (at >= words.Length)
            {
                Array.Resize(ref words, Math.Max(words.Length * 2, at + 1));
                _levels[level] = words;
            }

            words[at] |= 1UL << (int)(index % WordBits);
            if (words[at] != ulong.MaxValue)
            {
                return;
            }

            index /= WordBits;
        }
    }

    private ulong Word(int level, long index)
    {
        var words = _levels[level];
        return index < words.Length ? words[index] : 0;
    }
}
