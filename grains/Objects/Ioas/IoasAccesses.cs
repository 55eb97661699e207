using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;

namespace IommuFd.Grains.Objects.Ioas;

// Who has pinned what. The kernel's drivers keep their pins and are asked to drop them when IOVAs are unmapped (iommufd_access_ops,
// unmap); here the pins of all accesses stand with the IOAS, so that asking is part of the unmap and nobody can fail to answer.

/// <summary>The accesses of an IOAS, and their pins.</summary>
internal sealed class IoasAccesses
{
    /// <summary>No access, for all the IOASes that have none. It stays as it is.</summary>
    public static readonly IoasAccesses None = new();

    private readonly Dictionary<ObjectId, Access> _accesses = [];

    /// <summary>Accesses that are attached.</summary>
    public int Count => _accesses.Count;

    /// <summary>Pins of all accesses.</summary>
    public long PinCount { get; private set; }

    /// <summary>All pins.</summary>
    public IEnumerable<IovaRange> Pins => _accesses.Values.SelectMany(access => access.Pins.Values);

    public bool Contains(ObjectId access) => _accesses.ContainsKey(access);

    public void Add(ObjectId access, bool needsPinPages) => _accesses.Add(access, new Access(needsPinPages, []));

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
        table.Unpin(range);
        return true;
    }

    /// <summary>Drops every pin that has an IOVA of a range, whoever has it.</summary>
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

    private void Revoke(Access access, IovaRange range, IoptTable table)
    {
        foreach (var (pin, pinned) in access.Pins.Where(pin => pin.Value.Overlaps(range)).ToList())
        {
            access.Pins.Remove(pin);
            PinCount--;
            table.Unpin(pinned);
        }
    }

    private sealed record Access(bool NeedsPinPages, Dictionary<uint, IovaRange> Pins);
}
