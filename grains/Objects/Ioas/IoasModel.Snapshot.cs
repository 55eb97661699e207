using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.IoPagetable;

namespace IommuFd.Grains.Objects.Ioas;

// Saving and restoring an IOAS: the table, the domains of HWPTs with their dirty pages, the accesses with their pins.

internal sealed partial class IoasModel
{
    /// <summary>Saves the IOAS.</summary>
    public IoasSnapshot Save()
    {
        // Domains of the table come first, in its order; one that is made and not added yet comes last.
        var hwpts = new ColumnWriter();
        var domains = new List<DomainSnapshot>();
        foreach (var (hwpt, domain) in Domains.OrderBy(pair => (uint)Table.IndexOf(pair.Value)).ThenBy(pair => pair.Key.Value))
        {
            hwpts.Add(hwpt.Value);
            domains.Add(domain.Save());
        }

        return new IoasSnapshot
        {
            LastPages = _lastPages,
            Table = Table.Save(),
            Hwpts = hwpts.ToColumn(),
            Domains = domains.Count == 0 ? null : [.. domains],
            IdleDomains = domains.Count - Table.Domains.Count,
            Accesses = Accesses.Save(),
        };
    }

    /// <summary>Restores an IOAS.</summary>
    /// <param name="serial">Its serial number, the same as before.</param>
    /// <param name="snapshot">What <see cref="Save"/> wrote.</param>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static IoasModel Restore(long serial, IoasSnapshot snapshot)
    {
        var domains = new Dictionary<ObjectId, IommuDomain>();
        var hwpts = snapshot.Hwpts.Read();
        foreach (var saved in snapshot.Domains ?? [])
        {
            SnapshotFormat.Require(domains.TryAdd(new ObjectId(hwpts.Next<uint>()), Restore(saved)), "A HWPT has two domains.");
        }

        hwpts.End();
        SnapshotFormat.Require(snapshot.IdleDomains >= 0 && snapshot.IdleDomains <= domains.Count, "More domains are idle than exist.");
        var accesses = snapshot.Accesses is { } known ? IoasAccesses.Restore(known) : null;
        var table = IoptTable.Restore(snapshot.Table, [.. domains.Values.Take(domains.Count - snapshot.IdleDomains)], accesses?.Pins ?? []);
        SnapshotFormat.Require((accesses?.PinningCount ?? 0) == (snapshot.Table?.PinningAccesses ?? 0), "Accesses pin pages that the table does not know.");
        var ioas = new IoasModel(serial)
        {
            Table = table,
            _lastPages = snapshot.LastPages,
            _domains = domains.Count == 0 ? null : domains,
        };
        if (accesses is not null)
        {
            ioas.SetAccesses(accesses);
        }

        return ioas;
    }

    private static IommuDomain Restore(DomainSnapshot saved)
    {
        var driver = saved?.Iommu is { } name ? IommuDriver.FindInstance(name) : null;
        var domain = (driver ?? throw SnapshotFormat.Of("A domain belongs to an unknown IOMMU.")).RestoreDomain(saved!);
        domain.Load(saved!);
        return domain;
    }
}

/// <summary>A saved IOAS.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.IoasSnapshot")]
internal sealed record IoasSnapshot : ObjectSnapshot
{
    /// <summary>The number that the last pages were given.</summary>
    [Id(0)]
    public long LastPages { get; init; }

    /// <summary>The table; null for one that is as a new one.</summary>
    [Id(1)]
    public TableSnapshot? Table { get; init; }

    /// <summary>The HWPTs of the domains: a column.</summary>
    [Id(2)]
    public DeltaColumn Hwpts { get; init; }

    /// <summary>The domains, in the table's order; null for none.</summary>
    [Id(3)]
    public DomainSnapshot[]? Domains { get; init; }

    /// <summary>How many of them, at the end, the table does not have.</summary>
    [Id(4)]
    public int IdleDomains { get; init; }

    /// <summary>The accesses and their pins; null for none.</summary>
    [Id(5)]
    public AccessesSnapshot? Accesses { get; init; }

    public override bool IsFirstState => this == new IoasSnapshot();
}
