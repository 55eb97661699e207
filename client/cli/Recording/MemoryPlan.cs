using IommuFd.Cli.Conformance;

namespace IommuFd.Cli.Recording;

// The memory of a trace is that of one small program: 4 MiB that can be written and 64 KiB that can't. A recorded program's memory lies elsewhere, in several processes and
// files. So each stretch of it that the program names for mappings gets a place there, the same one for all calls: what overlaps in the program overlaps in the trace, and
// what does not, does not. The service chooses IOVAs by how an address is aligned, so places keep that, up to the size of what is mapped.

/// <summary>Where in a trace's memory the memory lies that a program maps.</summary>
internal sealed class MemoryPlan
{
    private const ulong PageBytes = 4096;

    private readonly Dictionary<(NamedMemoryKind Kind, string Space), List<Stretch>> _stretches = [];

    /// <summary>Adds memory that the program names. All is added before <see cref="Place"/>.</summary>
    public void Add(NamedMemory memory)
    {
        if (memory.Kind is not (NamedMemoryKind.Writable or NamedMemoryKind.ReadOnly))
        {
            return;
        }

        if (!_stretches.TryGetValue((memory.Kind, memory.Space), out var stretches))
        {
            _stretches.Add((memory.Kind, memory.Space), stretches = []);
        }

        var (first, end) = (memory.Start & ~(PageBytes - 1), ((memory.Start + memory.Bytes - 1) | (PageBytes - 1)) + 1);
        stretches.Add(new Stretch(first, end, Alignment(memory.Length), memory.EndsThere));
    }

    /// <summary>Gives each stretch its place.</summary>
    /// <exception cref="CliException">It does not fit.</exception>
    public void Place()
    {
        foreach (var stretches in _stretches.Values)
        {
            Merge(stretches);
        }

        PlaceAll(NamedMemoryKind.Writable, TraceMemory.DataAddress, TraceMemory.DataBytes, "can be written");
        PlaceAll(NamedMemoryKind.ReadOnly, TraceMemory.RodataAddress, TraceMemory.RodataBytes, "can only be read");
    }

    /// <summary>The address in the trace of memory that was added.</summary>
    public ulong AddressOf(NamedMemory memory)
    {
        var stretch = _stretches[(memory.Kind, memory.Space)].First(stretch => stretch.Start <= memory.Start && memory.Start < stretch.End);
        return stretch.Address + (memory.Start - stretch.Start);
    }

    private static ulong Alignment(ulong length)
        => length <= PageBytes ? PageBytes : length > TraceMemory.DataBytes ? TraceMemory.DataBytes : 1UL << (64 - System.Numerics.BitOperations.LeadingZeroCount(length - 1));

    private static void Merge(List<Stretch> stretches)
    {
        stretches.Sort(static (one, other) => one.Start.CompareTo(other.Start));
        var last = 0;
        for (var i = 1; i < stretches.Count; i++)
        {
            if (stretches[i].Start < stretches[last].End)
            {
                stretches[last].Include(stretches[i]);
            }
            else
            {
                stretches[++last] = stretches[i];
            }
        }

        stretches.RemoveRange(Math.Min(last + 1, stretches.Count), Math.Max(0, stretches.Count - last - 1));
    }

    // Behind the end of a region is nothing: there goes what the program's memory ends behind. Then the largest first, each at the first place that fits.
    private void PlaceAll(NamedMemoryKind kind, ulong address, ulong bytes, string what)
    {
        var all = _stretches.Where(known => known.Key.Kind == kind).SelectMany(known => known.Value).ToList();
        var placed = new SortedList<ulong, ulong>();
        foreach (var stretch in all.OrderByDescending(stretch => stretch.EndsThere).ThenByDescending(stretch => stretch.Alignment).ThenByDescending(stretch => stretch.Bytes))
        {
            var offset = stretch.EndsThere && placed.Count == 0 && stretch.Bytes <= bytes ? bytes - stretch.Bytes : Find(placed, stretch, bytes)
                ?? throw new CliException($"The program maps {all.Aggregate(0UL, (sum, one) => sum + one.Bytes) >> 10} KiB of memory that {what}; a trace has {bytes >> 10} KiB.");
            placed.Add(offset, offset + stretch.Bytes);
            stretch.Address = address + offset;
        }
    }

    private static ulong? Find(SortedList<ulong, ulong> placed, Stretch stretch, ulong bytes)
    {
        for (var alignment = stretch.Alignment; alignment >= PageBytes; alignment /= 2)
        {
            var offset = stretch.Start & (alignment - 1);
            foreach (var (start, end) in placed)
            {
                if (offset + stretch.Bytes > start && offset < end)
                {
                    // The first behind it that is as far from a multiple of the alignment as the program's.
                    offset = end + ((stretch.Start - end) & (alignment - 1));
                }
            }

            if (offset + stretch.Bytes <= bytes)
            {
                return offset;
            }
        }

        return null;
    }

    private sealed class Stretch(ulong start, ulong end, ulong alignment, bool endsThere)
    {
        public ulong Start => start;

        public ulong End { get; private set; } = end;

        public ulong Alignment { get; private set; } = alignment;

        /// <summary>Whether nothing was behind it when it was named.</summary>
        public bool EndsThere { get; private set; } = endsThere;

        public ulong Address { get; set; }

        public ulong Bytes => End - start;

        public void Include(Stretch other)
        {
            EndsThere = other.End > End ? other.EndsThere : other.End == End ? EndsThere || other.EndsThere : EndsThere;
            (End, Alignment) = (Math.Max(End, other.End), Math.Max(Alignment, other.Alignment));
        }
    }
}
