using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.IoPagetable;

/// <summary>A domain of any aperture and page size, which every device can use.</summary>
internal sealed class TestDomain(ulong start = 0, ulong last = ulong.MaxValue, ulong pageSize = IoasFixture.Page)
    : IommuDomain("test", new IovaRange(start, last), pageSize, canTrackDirty: true)
{
    public override Errno Attach(DeviceDescription device, string iommu) => Errno.None;

    /// <summary>The domain that is made of what this one writes down.</summary>
    public TestDomain MakeAgain()
    {
        var saved = Save().RoundTrip();
        var domain = new TestDomain(saved.ApertureStart, saved.ApertureLast, saved.PageSize);
        domain.Load(saved);
        Expect.Equal(Deep.Text(saved), Deep.Text(domain.Save()), $"what {this} writes down when it is made again");
        return domain;
    }

    public override string ToString() => $"domain {Aperture} of {PageSize}";
}

/// <summary>Everything of a table or an IOAS that an operation may change, in words: equal texts mean that nothing has changed.</summary>
internal static class Snapshots
{
    public static string Snapshot(this IoptTable table)
    {
        table.Validate();
        var areas = table.Areas.Select(area => $"{area.Range} of {Deep.Text(area.Pages)} from 0x{area.StartByte:X}, {area.Prot}, {area.Pins} pins");
        var domains = table.Domains.Select(Show);
        var reserved = table.Reserved.All.Select(reserved => $"{reserved.Range} by {reserved.Owner ?? "nobody"}").Order(StringComparer.Ordinal);
        return $"alignment {table.IovaAlignment}, large pages {!table.LargePagesDisabled}, pinned {table.PinnedAreaCount}, free {table.FreeBytes}\n"
            + $"areas {Join(areas)}\ndomains {Join(domains)}\nreserved {Join(reserved)}\nspans {Join(table.Reserved.Spans)}\n"
            + $"allowed {Join(table.Allowed.Ranges.ToArray())}";
    }

    public static string Snapshot(this IoasModel ioas)
    {
        var domains = ioas.Domains.OrderBy(pair => pair.Key.Value).Select(pair => $"{pair.Key}: {Show(pair.Value)}");
        var accesses = Enumerable.Range(1, 32).Select(id => new ObjectId((uint)id)).Where(ioas.Accesses.Contains)
            .Select(id => $"{id}: {ioas.Accesses.PinsOf(id)}");
        return $"{ioas.Table.Snapshot()}\nhwpts {Join(domains)}\naccesses {Join(accesses)}\npins {ioas.Accesses.PinCount}: {Join(ioas.Accesses.Pins)}";
    }

    /// <summary>The table that is made of what this one writes down.</summary>
    /// <param name="table">The table.</param>
    /// <param name="domains">Its domains, made again.</param>
    /// <param name="pins">What is pinned in it.</param>
    public static IoptTable MakeAgain(this IoptTable table, IReadOnlyCollection<IommuDomain> domains, IEnumerable<IovaRange> pins)
    {
        var saved = Serialization.Serializer.SerializeToArray(table.Save());
        var again = IoptTable.Restore(Serialization.Serializer.Deserialize<TableSnapshot>(saved), domains, pins.Select(pin => new PinnedRange(pin, IsLocked: false)));
        again.Validate();
        Expect.That(saved.AsSpan().SequenceEqual(Serialization.Serializer.SerializeToArray(again.Save())), $"A table that is made again is another: {table.Snapshot()}\n{again.Snapshot()}");
        return again;
    }

    private static string Show(IommuDomain domain)
        => $"{domain.Aperture} of {domain.PageSize}, tracks {domain.TracksDirty}, dirty {Join(domain.DirtyRuns(IovaRange.All))}";

    private static string Join<T>(IEnumerable<T> items) => $"[{string.Join("; ", items)}]";
}
