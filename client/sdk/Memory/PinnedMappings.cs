using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// The memory that this context's MapAsync has mapped, and where. Every ioctl of the context that may change that has an effect here (PinEffect), however it is issued. Memory may be
// pinned too long, where an outcome is not known or another file of the context unmaps, but never too short. Accesses copy from and to this memory only: an address from the service
// is looked up here and never dereferenced.
//
// The mappings of one IOAS do not overlap, since its areas don't, with two exceptions: what another file has unmapped, and what may be mapped, stays here beside what was mapped at
// the same IOVAs since. So each mapping has a number.

/// <summary>The pinned memory of a context, by IOAS and IOVA.</summary>
internal sealed class PinnedMappings : ICallerMemory
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ObjectId, SortedSet<Mapping>> _byIoas = [];

    // What may be mapped, nobody knows where.
    private readonly Dictionary<ObjectId, SortedSet<Mapping>> _unplaced = [];
    private long _lastNumber;
    private bool _isUsed;
    private bool _isClosed;

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

    /// <summary>Begins what an ioctl does to these books; null for one that does nothing to them.</summary>
    public PinEffect? Begin(IoctlRequest request) => MayChange(request) ? Begin(request, null) : null;

    /// <summary>Begins an IOMMU_IOAS_MAP of pinned memory.</summary>
    public PinEffect Begin(IoctlRequest request, MemoryPin? pin)
    {
        lock (_lock)
        {
            _isUsed |= pin is not null;
            return new PinEffect(this, request, _lastNumber, pin);
        }
    }

    /// <summary>Whether an ioctl may change these books: one that copies, unmaps or destroys, once something was mapped.</summary>
    public bool MayChange(IoctlRequest request)
        => Volatile.Read(ref _isUsed)
            && (IommuCommand)request.Command is IommuCommand.IoasCopy or IommuCommand.IoasUnmap or IommuCommand.Destroy
            && request.Argument.Length >= IoctlTable.Get((IommuCommand)request.Command).MinSize;

    /// <summary>Adds what was mapped. What was noted at its IOVAs before is not mapped any more.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="range">The IOVAs.</param>
    /// <param name="pin">The memory.</param>
    /// <param name="before">The number of the last mapping that was noted when the ioctl was sent.</param>
    public void Add(ObjectId ioas, IovaRange range, MemoryPin pin, long before)
    {
        lock (_lock)
        {
            Remove(ioas, range, before);
            AddUncertain(ioas, range, pin);
        }
    }

    /// <summary>Adds what is mapped, or may be.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="range">The IOVAs; null where they are not known.</param>
    /// <param name="pin">The memory.</param>
    public void AddUncertain(ObjectId ioas, IovaRange? range, MemoryPin pin)
    {
        lock (_lock)
        {
            if (_isClosed)
            {
                pin.Drop();
                return;
            }

            var books = range is null ? _unplaced : _byIoas;
            if (!books.TryGetValue(ioas, out var mappings))
            {
                books.Add(ioas, mappings = []);
            }

            mappings.Add(new Mapping(range ?? IovaRange.All, ++_lastNumber, pin));
        }
    }

    /// <summary>Removes the mappings in a range.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="range">The IOVAs.</param>
    /// <param name="before">The number of the last mapping to remove.</param>
    public void Remove(ObjectId ioas, IovaRange range, long before)
    {
        lock (_lock)
        {
            Drop(_byIoas, ioas, Overlapping(ioas, range), before);
        }
    }

    /// <summary>The pinned memory behind a range, shared with the caller: each piece is to be added or dropped.</summary>
    public List<PinnedPiece> Share(ObjectId ioas, ulong iova, ulong length)
    {
        lock (_lock)
        {
            var pieces = new List<PinnedPiece>();
            if (length == 0 || !IovaRange.TryOfLength(iova, length, out var range))
            {
                return pieces;
            }

            foreach (var (mapped, _, pin) in Overlapping(ioas, range))
            {
                pin!.Share();
                pieces.Add(new PinnedPiece(new IovaRange(Math.Max(mapped.Start, range.Start), Math.Min(mapped.Last, range.Last)), pin));
            }

            return pieces;
        }
    }

    /// <summary>Removes all mappings of an IOAS.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="before">The number of the last mapping to remove.</param>
    public void RemoveAll(ObjectId ioas, long before)
    {
        lock (_lock)
        {
            Drop(_byIoas, ioas, [.. _byIoas.GetValueOrDefault(ioas) ?? []], before);
            Drop(_unplaced, ioas, [.. _unplaced.GetValueOrDefault(ioas) ?? []], before);
        }
    }

    /// <summary>Removes all mappings, and those that come late.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
            _byIoas.Keys.Concat(_unplaced.Keys).ToList().ForEach(ioas => RemoveAll(ioas, long.MaxValue));
        }
    }

    private static void Drop(Dictionary<ObjectId, SortedSet<Mapping>> books, ObjectId ioas, List<Mapping> mappings, long before)
    {
        foreach (var mapping in mappings.Where(mapping => mapping.Number <= before))
        {
            books[ioas].Remove(mapping);
            mapping.Pin!.Drop();
        }

        if (books.TryGetValue(ioas, out var left) && left.Count == 0)
        {
            books.Remove(ioas);
        }
    }

    // The pinned memory from an address on; empty if the address is in none. Mappings of different lengths can pin the same memory, so that another pin may continue where
    // the one that is found ends.
    private Memory<byte> Find(ulong address)
    {
        lock (_lock)
        {
            foreach (var (_, _, pin) in _byIoas.Values.Concat(_unplaced.Values).SelectMany(mappings => mappings))
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

/// <summary>Pinned memory behind a range of IOVAs.</summary>
/// <param name="Range">The IOVAs.</param>
/// <param name="Pin">The memory.</param>
internal readonly record struct PinnedPiece(IovaRange Range, MemoryPin Pin);
