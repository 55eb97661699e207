using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.IoPagetable;

namespace IommuFd.Grains.Objects.Ioas;

// Which access has pinned what. The kernel's drivers keep their pins and are asked to drop them when IOVAs are unmapped (iommufd_access_ops,
// unmap); here the IOAS keeps the pins of all accesses, so that an unmap revokes them in its own step and no driver can fail to answer.

/// <summary>The accesses of an IOAS, and their pins.</summary>
internal sealed class IoasAccesses
{
    /// <summary>No access, for all the IOASes that have none. It stays as it is.</summary>
    public static readonly IoasAccesses None = new();

    private const ulong Pinning = 1;
    private const ulong Locking = 2;

    private readonly Dictionary<ObjectId, Access> _accesses = [];

    /// <summary>Accesses that are attached.</summary>
    public int Count => _accesses.Count;

    /// <summary>Pins of all accesses.</summary>
    public long PinCount { get; private set; }

    /// <summary>Accesses that pin pages.</summary>
    public int PinningCount => _accesses.Values.Count(access => access.NeedsPinPages);

    /// <summary>All pins.</summary>
    public IEnumerable<PinnedRange> Pins => _accesses.Values.SelectMany(access => access.Pins.Values.Select(range => new PinnedRange(range, access.LocksAreas)));

    public bool Contains(ObjectId access) => _accesses.ContainsKey(access);

    /// <summary>Whether what an access pins can't be unmapped.</summary>
    public bool LocksAreas(ObjectId access) => _accesses[access].LocksAreas;

    public void Add(ObjectId access, bool needsPinPages, bool locksAreas) => _accesses.Add(access, new Access(needsPinPages, locksAreas, []));

    /// <summary>Takes an access out, with its pins; says whether it was one that pins.</summary>
    public bool Remove(ObjectId access, IoptTable table)
    {
        var needsPinPages = _accesses[access].NeedsPinPages;
        Revoke(_accesses[access], IovaRange.All, table);
        _accesses.Remove(access);
        return needsPinPages;
    }

    /// <summary>Notes a pin that the table has counted.</summary>
    public void AddPin(ObjectId access, uint pin, IovaRange range)
    {
        _accesses[access].Pins.Add(pin, range);
        PinCount++;
    }

    /// <summary>Drops a pin; false where the access has no such pin.</summary>
    public bool RemovePin(ObjectId access, uint pin, IoptTable table)
    {
        if (!_accesses.TryGetValue(access, out var owner) || !owner.Pins.Remove(pin, out var range))
        {
            return false;
        }

        PinCount--;
        table.Unpin(new PinnedRange(range, owner.LocksAreas));
        return true;
    }

    /// <summary>Drops every pin of any access that has an IOVA of a range.</summary>
    public void Revoke(IovaRange range, IoptTable table)
    {
        foreach (var access in _accesses.Values)
        {
            Revoke(access, range, table);
        }
    }

    /// <summary>The pins of an access: how many, and how many bytes they have together.</summary>
    public (long Count, ulong Bytes) PinsOf(ObjectId access)
        => _accesses.TryGetValue(access, out var owner)
            ? (owner.Pins.Count, owner.Pins.Values.Aggregate(0UL, (sum, pin) => sum + pin.LengthBytes))
            : (0, 0);

    /// <summary>Saves the accesses; null for none.</summary>
    public AccessesSnapshot? Save()
    {
        var (ids, needs, counts) = (new ColumnWriter(), new ColumnWriter(), new ColumnWriter());
        var (pins, ranges) = (new ColumnWriter(), new List<IovaRange>());
        foreach (var (id, access) in _accesses.OrderBy(access => access.Key.Value))
        {
            ids.Add(id.Value);
            needs.Add((access.NeedsPinPages ? Pinning : 0) | (access.LocksAreas ? Locking : 0));
            counts.Add((ulong)access.Pins.Count);
            foreach (var (pin, range) in access.Pins.OrderBy(pin => pin.Key))
            {
                pins.Add(pin);
                ranges.Add(range);
            }
        }

        return Count == 0
            ? null
            : new AccessesSnapshot
            {
                Ids = ids.ToColumn(),
                NeedPinPages = needs.ToColumn(),
                PinCounts = counts.ToColumn(),
                Pins = pins.ToColumn(),
                Ranges = ranges.Count == 0 ? null : RangesSnapshot.Of([.. ranges]),
            };
    }

    /// <summary>Restores the accesses. The table counts their pins.</summary>
    public static IoasAccesses Restore(AccessesSnapshot saved)
    {
        var (ids, needs, counts, pins) = (saved.Ids.Read(), saved.NeedPinPages.Read(), saved.PinCounts.Read(), saved.Pins.Read());
        var ranges = saved.Ranges?.ToRanges() ?? [];
        var accesses = new IoasAccesses();
        while (ids.TryNext<uint>(out var number))
        {
            var id = new ObjectId(number);
            SnapshotFormat.Require(!accesses.Contains(id), "An access is there twice.");
            var need = needs.Next();
            accesses.Add(id, (need & Pinning) != 0, (need & Locking) != 0);
            for (var left = counts.Next(); left > 0; left--)
            {
                var pin = pins.Next<uint>();
                SnapshotFormat.Require(accesses.PinCount < ranges.Count && !accesses._accesses[id].Pins.ContainsKey(pin), "A pin is there twice, or has no range.");
                accesses.AddPin(id, pin, ranges[(int)accesses.PinCount]);
            }
        }

        Array.ForEach([needs, counts, pins], column => column.End());
        SnapshotFormat.Require(accesses.PinCount == ranges.Count, "A pinned range belongs to no pin.");
        return accesses;
    }

    private void Revoke(Access access, IovaRange range, IoptTable table)
    {
        foreach (var (pin, pinned) in access.Pins.Where(pin => pin.Value.Overlaps(range)).ToList())
        {
            access.Pins.Remove(pin);
            PinCount--;
            table.Unpin(new PinnedRange(pinned, access.LocksAreas));
        }
    }

    private sealed record Access(bool NeedsPinPages, bool LocksAreas, Dictionary<uint, IovaRange> Pins);
}

/// <summary>The saved accesses of an IOAS, with their pins.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.AccessesSnapshot")]
internal sealed record AccessesSnapshot
{
    /// <summary>Ids: a column.</summary>
    [Id(0)]
    public DeltaColumn Ids { get; init; }

    /// <summary>1 for those that pin pages, and 2 for those that lock what they pin: a column.</summary>
    [Id(1)]
    public DeltaColumn NeedPinPages { get; init; }

    /// <summary>How many pins they have: a column.</summary>
    [Id(2)]
    public DeltaColumn PinCounts { get; init; }

    /// <summary>The numbers of the pins, access by access: a column.</summary>
    [Id(3)]
    public DeltaColumn Pins { get; init; }

    /// <summary>What they pin; null for nothing.</summary>
    [Id(4)]
    public RangesSnapshot? Ranges { get; init; }
}
