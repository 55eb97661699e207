using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// What the SDK's own typed methods have mapped. If a program unmaps with raw ioctls, its memory stays pinned until the IOAS is destroyed or the context is closed: memory
// may be pinned too long, but never too short. Accesses copy from and to this memory only: an address from the service is looked up here and never dereferenced.
//
// The mappings of one IOAS do not overlap, since its areas don't, with one exception: what raw ioctls have unmapped stays here beside what was mapped at the same IOVAs
// later. So each mapping has a number.

/// <summary>The pinned memory of a context, by IOAS and IOVA.</summary>
internal sealed class PinnedMappings : ICallerMemory
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ObjectId, SortedSet<Mapping>> _byIoas = [];
    private long _lastNumber;

    public int Read(ulong address, Span<byte> destination)
    {
        var done = 0;
        while (done < destination.Length && Find(address + (ulong)done) is { IsEmpty: false } bytes)
        {
            var count = Math.Min(bytes.Length, destination.Length - done);
            bytes.Span[..count].CopyTo(destination[done..]);
            done += count;
        }

        return done;
    }

    public int Write(ulong address, ReadOnlySpan<byte> source)
    {
        var done = 0;
        while (done < source.Length && Find(address + (ulong)done) is { IsEmpty: false } bytes)
        {
            var count = Math.Min(bytes.Length, source.Length - done);
            source.Slice(done, count).CopyTo(bytes.Span);
            done += count;
        }

        return done;
    }

    public ulong Accessible(ulong address, ulong length, MemoryAccess access)
    {
        ulong done = 0;
        while (done < length && Find(address + done) is { IsEmpty: false } bytes)
        {
            done += Math.Min((ulong)bytes.Length, length - done);
        }

        return done;
    }

    public void Add(ObjectId ioas, IovaRange range, MemoryPin pin)
    {
        lock (_lock)
        {
            if (!_byIoas.TryGetValue(ioas, out var mappings))
            {
                _byIoas.Add(ioas, mappings = []);
            }

            mappings.Add(new Mapping(range, ++_lastNumber, pin));
        }
    }

    /// <summary>Removes the mappings in a range.</summary>
    public void Remove(ObjectId ioas, IovaRange range)
    {
        lock (_lock)
        {
            foreach (var mapping in Overlapping(ioas, range))
            {
                _byIoas[ioas].Remove(mapping);
                mapping.Pin!.Drop();
            }
        }
    }

    /// <summary>Adds what copying a range has mapped. The copies share the pins.</summary>
    public void Copy(ObjectId source, IovaRange range, ObjectId destination, ulong iova)
    {
        lock (_lock)
        {
            foreach (var (mapped, _, pin) in Overlapping(source, range))
            {
                pin!.Share();
                var (first, last) = (Math.Max(mapped.Start, range.Start), Math.Min(mapped.Last, range.Last));
                Add(destination, new IovaRange(first - range.Start + iova, last - range.Start + iova), pin);
            }
        }
    }

    /// <summary>Removes all mappings of an IOAS.</summary>
    public void RemoveAll(ObjectId ioas)
    {
        Remove(ioas, IovaRange.All);
        lock (_lock)
        {
            _byIoas.Remove(ioas);
        }
    }

    /// <summary>Removes all mappings.</summary>
    public void RemoveAll()
    {
        lock (_lock)
        {
            _byIoas.Keys.ToList().ForEach(RemoveAll);
        }
    }

    // The pinned memory from an address on; empty if the address is in none. Mappings of different lengths can pin the same memory, so that another pin may continue where
    // the one that is found ends.
    private Memory<byte> Find(ulong address)
    {
        lock (_lock)
        {
            foreach (var (_, _, pin) in _byIoas.Values.SelectMany(mappings => mappings))
            {
                if (address - pin!.Address < (ulong)pin.Memory.Length)
                {
                    return pin.Memory[(int)(address - pin.Address)..];
                }
            }

            return default;
        }
    }

    private List<Mapping> Overlapping(ObjectId ioas, IovaRange range)
    {
        if (!_byIoas.TryGetValue(ioas, out var mappings))
        {
            return [];
        }

        // At most one mapping that is still mapped starts before the range and reaches into it.
        var found = mappings.GetViewBetween(Before(range.Start), After(range.Last)).ToList();
        if (range.Start > 0 && mappings.GetViewBetween(Before(0), After(range.Start - 1)).Max is { Pin: not null } below && below.Range.Last >= range.Start)
        {
            found.Add(below);
        }

        return found;
    }

    // Bounds in the sorted set: before and after all mappings that start at an IOVA.
    private static Mapping Before(ulong start) => new(new IovaRange(start, start), 0, null);

    private static Mapping After(ulong start) => new(new IovaRange(start, start), long.MaxValue, null);

    private readonly record struct Mapping(IovaRange Range, long Number, MemoryPin? Pin) : IComparable<Mapping>
    {
        public int CompareTo(Mapping other) => (Range.Start, Number).CompareTo((other.Range.Start, other.Number));
    }
}
