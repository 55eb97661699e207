using System.Runtime.InteropServices;

namespace IommuFd.Linearizability;

/// <summary>A mutable set of operations: one bit each, by index.</summary>
internal sealed class OperationSet(int capacity)
{
    private const int Bits = 64;

    private readonly ulong[] _words = new ulong[(capacity + Bits - 1) / Bits];

    // Words below this are full: operations are mostly taken in the order in which they were sent.
    private int _full;

    public int Count { get; private set; }

    public bool Contains(int operation) => (_words[operation / Bits] >> (operation % Bits) & 1) != 0;

    public void Add(int operation)
    {
        _words[operation / Bits] |= 1UL << (operation % Bits);
        Count++;
        while (_full < _words.Length && _words[_full] == ulong.MaxValue)
        {
            _full++;
        }
    }

    public void Remove(int operation)
    {
        _words[operation / Bits] &= ~(1UL << (operation % Bits));
        Count--;
        _full = Math.Min(_full, operation / Bits);
    }

    /// <summary>An immutable copy. It costs by the words from the first missing operation to the last contained one.</summary>
    public Frozen Freeze()
    {
        var last = _words.Length;
        while (last > _full && _words[last - 1] == 0)
        {
            last--;
        }

        return new Frozen(_full, _words[_full..last]);
    }

    /// <summary>An immutable set: a number of full words, and the words behind them.</summary>
    internal readonly record struct Frozen(int Full, ulong[] Words)
    {
        public bool Equals(Frozen other) => Full == other.Full && Words.AsSpan().SequenceEqual(other.Words);

        public override int GetHashCode()
        {
            var hash = default(HashCode);
            hash.Add(Full);
            hash.AddBytes(MemoryMarshal.AsBytes(Words.AsSpan()));
            return hash.ToHashCode();
        }

        /// <summary>Whether another set contains all of this one.</summary>
        public bool IsSubsetOf(Frozen other)
        {
            for (var i = Math.Min(Full, other.Full); i < Full + Words.Length; i++)
            {
                if ((WordAt(i) & ~other.WordAt(i)) != 0)
                {
                    return false;
                }
            }

            return true;
        }

        private ulong WordAt(int index) => index < Full ? ulong.MaxValue : index - Full < Words.Length ? Words[index - Full] : 0;
    }
}
