using System.Collections.Immutable;
using System.Globalization;

namespace IommuFd.Linearizability;

// A context as far as its ioctls can tell: an immutable value; a changed copy shares all that is unchanged. Users counts are not stored:
// who holds whom follows from the objects.

/// <summary>An object of a context.</summary>
internal abstract record ContextObject;

/// <summary>An IO address space.</summary>
internal sealed record IoasObject : ContextObject
{
    /// <summary>By IOVA, ascending.</summary>
    public ImmutableArray<MappedArea> Areas { get; init; } = [];

    /// <summary>IOMMU_OPTION_HUGE_PAGES is 0.</summary>
    public bool HugePagesOff { get; init; }

    public bool Equals(IoasObject? other) => other is not null && HugePagesOff == other.HugePagesOff && Areas.AsSpan().SequenceEqual(other.Areas.AsSpan());

    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.Add(HugePagesOff);
        foreach (var area in Areas)
        {
            hash.Add(area);
        }

        return hash.ToHashCode();
    }

    public override string ToString()
        => $"IOAS{(HugePagesOff ? ", huge pages off" : "")}{string.Concat(Areas.Select(area => $"{(area == Areas[0] ? ": " : ", ")}{area}"))}";
}

/// <summary>A mapping: memory from an address on at the IOVAs from <paramref name="Start"/> to <paramref name="Last"/>.</summary>
/// <param name="Start">The first IOVA.</param>
/// <param name="Last">The last IOVA, inclusive.</param>
/// <param name="Address">The caller's address.</param>
/// <param name="PagesWriteable">Whether the memory was first mapped writeable; a copy of a mapping that was not can't be.</param>
internal sealed record MappedArea(ulong Start, ulong Last, ulong Address, bool PagesWriteable)
{
    public ulong Length => Last - Start + 1;

    public override string ToString()
        => string.Create(CultureInfo.InvariantCulture, $"0x{Start:X}-0x{Last:X} to 0x{Address:X}{(PagesWriteable ? "" : " (read)")}");
}

/// <summary>A hardware page table, which holds its IOAS.</summary>
/// <param name="Ioas">The IOAS that it mirrors.</param>
/// <param name="IsAuto">Whether attaching a device allocated it; if so, it goes with its last device.</param>
/// <param name="IsNestParent">Whether page tables and vIOMMUs of guests can be allocated on it.</param>
internal sealed record HwptObject(uint Ioas, bool IsAuto, bool IsNestParent) : ContextObject
{
    public override string ToString() => $"{(IsAuto ? "automatic " : IsNestParent ? "nesting " : "")}HWPT of {Ioas}";
}

/// <summary>A selftest's device, held by its owner. It holds the page table that it is attached to.</summary>
/// <param name="Hwpt">The page table; 0 only while it is being bound.</param>
/// <param name="Invalidated">The entries of its cache that are 0.</param>
internal sealed record DeviceObject(uint Hwpt, uint Invalidated) : ContextObject
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"device at {Hwpt}{(Invalidated == 0 ? "" : $", cache without {Invalidated:B4}")}");
}

/// <summary>What MOCK_DOMAIN creates: the owner of a device.</summary>
/// <param name="Device">The device that it holds.</param>
internal sealed record SelftestObject(uint Device) : ContextObject
{
    public override string ToString() => $"owner of {Device}";
}

/// <summary>A context.</summary>
internal sealed class ContextState : IEquatable<ContextState>
{
    public static readonly ContextState Empty = new([], 0);

    private readonly ImmutableArray<ContextObject?> _objects;
    private readonly int _hash;

    private ContextState(ImmutableArray<ContextObject?> objects, ulong rlimitMode)
    {
        // Free ids at the end are left out, so that equal states compare equal.
        var length = objects.Length;
        while (length > 0 && objects[length - 1] is null)
        {
            length--;
        }

        _objects = length == objects.Length ? objects : objects[..length];
        RlimitMode = rlimitMode;
        var hash = default(HashCode);
        hash.Add(rlimitMode);
        foreach (var entry in _objects)
        {
            hash.Add(entry);
        }

        _hash = hash.ToHashCode();
    }

    /// <summary>IOMMU_OPTION_RLIMIT_MODE.</summary>
    public ulong RlimitMode { get; }

    public bool IsEmpty => _objects.IsEmpty;

    /// <summary>The lowest free id.</summary>
    public uint FreeId
    {
        get
        {
            var index = _objects.IndexOf(null);
            return (uint)(index < 0 ? _objects.Length : index) + 1;
        }
    }

    /// <summary>The objects with their ids, ascending.</summary>
    public IEnumerable<(uint Id, ContextObject Object)> Objects => _objects.Select((entry, i) => (Id: (uint)i + 1, Object: entry!)).Where(pair => pair.Object is not null);

    /// <summary>An object; null for a free id and for a tombstone.</summary>
    public ContextObject? Find(uint id) => id > 0 && id <= (uint)_objects.Length && _objects[(int)id - 1] is { } entry and not TombstoneObject ? entry : null;

    /// <summary>An object of a kind; null if there is none with the id.</summary>
    public T? Find<T>(uint id)
        where T : ContextObject
        => Find(id) as T;

    /// <summary>Whether any object holds this one.</summary>
    public bool IsHeld(uint id) => _objects.Any(entry => entry switch
    {
        HwptObject hwpt => hwpt.Ioas == id,
        DeviceObject device => device.Hwpt == id,
        SelftestObject selftest => selftest.Device == id,
        NestedHwptObject nested => nested.Base == id,
        ViommuObject viommu => viommu.Hwpt == id,
        VdeviceObject vdevice => vdevice.Viommu == id,
        _ => false,
    });

    /// <summary>Puts an object at an id, in place of any object there; null frees the id.</summary>
    public ContextState With(uint id, ContextObject? entry)
    {
        var objects = _objects;
        if (id > (uint)objects.Length)
        {
            objects = objects.AddRange(new ContextObject?[(int)id - objects.Length]);
        }

        return new ContextState(objects.SetItem((int)id - 1, entry), RlimitMode);
    }

    public ContextState WithRlimitMode(ulong mode) => new(_objects, mode);

    public bool Equals(ContextState? other)
        => other is not null && _hash == other._hash && RlimitMode == other.RlimitMode && _objects.AsSpan().SequenceEqual(other._objects.AsSpan());

    public override bool Equals(object? obj) => Equals(obj as ContextState);

    public override int GetHashCode() => _hash;

    public override string ToString()
        => $"a context{(RlimitMode == 0 ? "" : ", rlimit mode 1")}: {(IsEmpty ? "empty" : string.Join("; ", Objects.Select(pair => $"{pair.Id} {pair.Object}")))}";
}
