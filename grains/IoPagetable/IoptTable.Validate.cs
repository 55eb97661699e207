using System.Diagnostics;
using System.Numerics;

namespace IommuFd.Grains.IoPagetable;

// The invariants of the table and its parts. Debug builds check them once in as many changes as the table has areas and reservations, which
// keeps checking proportionate; tests call Validate at any time.

internal sealed partial class IoptTable
{
    private int _unchecked;

    /// <summary>Throws if an invariant does not hold.</summary>
    public void Validate()
    {
        _areas.Validate();
        _reserved.Validate();
        Require(_areas.Entries.All(entry => entry.Range == entry.Value.Range), "An area lies where the tree has it.");
        RequireNone(Areas.Select(FaultOf).FirstOrDefault(fault => fault is not null));
        Require(Areas.LongCount(area => !area.Pages.IsFile) == _areasOfNoFile, "The areas of what is no file are counted.");
        Require(Areas.LongCount(area => area.Pages.Source is null && !area.Slice.IsPinnable()) == _unpinnableAreas, "The areas that can't be pinned are counted.");
        Require(Areas.LongCount(area => area.Pages.Source is not null) == _areasToAskAbout, "The areas whose programs must be asked are counted.");
        Require(
            _areasByAlignment is null || Areas.GroupBy(area => area.Alignment).All(areas => _areasByAlignment[BitOperations.TrailingZeroCount(areas.Key)] == areas.Count()),
            "The areas are counted by their alignment.");
        Require((_areasByAlignment?.Sum() ?? 0) == AreaCount, "Every area is counted by its alignment once.");
        RequireNone(FaultOfTable());
    }

    // The rule that an area breaks, if any.
    private string? FaultOf(IoptArea area)
        => _reserved.Overlaps(area.Range) ? "No area has a reserved IOVA."
            : (PageSizes.OffsetOf(area.StartByte) & (IovaAlignment - 1)) != 0 ? "Every area's offset in its page is aligned."
            : !area.Slice.IsInside() ? "Every area lies within its pages."
            : !area.Pages.Writable && area.Prot.HasFlag(IommuProt.Write) ? "No area lets DMA write what isn't writable."
            : null;

    // The rule that the table as a whole breaks, if any.
    private string? FaultOfTable()
    {
        foreach (var allowed in _allowed.Ranges)
        {
            if (_reserved.Overlaps(allowed))
            {
                return "No reserved IOVA is allowed.";
            }
        }

        return _domains.Length > 0 && _unpinnableAreas > 0 ? "A domain maps only what can be pinned."
            : Array.Exists(_domains, domain => domain.PageSize > IovaAlignment) ? "IOVAs are aligned to the pages of every domain."
            : null;
    }

    [Conditional("DEBUG")]
    private void CheckInvariants()
    {
        if (++_unchecked >= AreaCount + _reserved.Count + _allowed.Ranges.Length)
        {
            _unchecked = 0;
            Validate();
        }
    }

    private static void RequireNone(string? fault)
    {
        if (fault is not null)
        {
            Require(false, fault);
        }
    }

    private static void Require(bool holds, string rule)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"The IO page table is broken: {rule}");
        }
    }
}
