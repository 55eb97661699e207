using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>Shows an IOAS to people.</summary>
internal static class IoasInspector
{
    public static IoasState Show(IoasModel ioas, StatePage page)
    {
        var table = ioas.Table;
        var areas = table.AreasFrom(page.From).Take(page.Limit + 1).Select(Show).ToList();
        var hasMore = areas.Count > page.Limit;
        return new IoasState
        {
            HugePages = !table.LargePagesDisabled,
            Alignment = table.IovaAlignment,
            AreaCount = table.AreaCount,
            FreeBytes = table.FreeBytes,
            LargestHole = table.LargestHole(),
            Allowed = [.. table.Allowed.Ranges[..Math.Min(table.Allowed.Ranges.Length, IoctlLimits.MaxListed)]],
            Reserved = [.. table.Reserved.Spans.Take(IoctlLimits.MaxListed)],
            Areas = [.. areas.Take(page.Limit)],
            HasMoreAreas = hasMore,
            Domains = ioas.Table.Domains.Count,
            Accesses = ioas.Accesses.Count,
            Pins = ioas.Accesses.PinCount,
        };
    }

    /// <summary>What the IOAS knows of a HWPT or an access; null for neither.</summary>
    public static ObjectState? ShowPart(IoasModel ioas, ObjectId part)
    {
        if (ioas.Domains.TryGetValue(part, out var domain))
        {
            return new HwptState
            {
                Aperture = domain.Aperture,
                PageSize = domain.PageSize,
                TracksDirtyPages = domain.TracksDirty,
                DirtyPages = domain.DirtyCount,
            };
        }

        if (!ioas.Accesses.Contains(part))
        {
            return null;
        }

        var (count, bytes) = ioas.Accesses.PinsOf(part);
        return new AccessState("", default, NeedsPinPages: false, count, bytes);
    }

    private static IoasArea Show(IoptArea area) => new(
        area.Range,
        area.Pages.Start + area.StartByte,
        area.Pages.File,
        (area.Prot.HasFlag(IommuProt.Read) ? IommuIoasMapFlags.Readable : 0) | (area.Prot.HasFlag(IommuProt.Write) ? IommuIoasMapFlags.Writeable : 0))
    {
        IsRevoked = area.Pages.IsRevoked,
    };
}
