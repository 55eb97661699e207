using System.Diagnostics;
using System.Numerics;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable;

// The invariants of the table and of what it consists of. Debug builds check them after as many changes as the table has areas and
// reservations, so that checking stays in proportion; tests call Validate whenever they like.

internal sealed partial class IoptTable
{
    private int _unchecked;

    /// <summary>Throws where something that must always hold does not.</summary>
    public void Validate()
    {
        _areas.Validate();
        _reserved.Validate();
        Require(_areas.Entries.All(entry => entry.Range == entry.Value.Range), "An area lies where the tree has it.");
        Require(Areas.All(area => !_reserved.Overlaps(area.Range)), "No area has a reserved IOVA.");
        Require(Areas.All(area => (PageSizes.OffsetOf(area.StartByte) & (IovaAlignment - 1)) == 0), "Every area's offset in its page is aligned.");
        Require(Areas.All(area => new PagesSlice(area.Pages, area.StartByte, area.Length).IsInside()), "Every area lies within its pages.");
        Require(Areas.All(area => area.Pages.Writable || !area.Prot.HasFlag(IommuProt.Write)), "No area lets DMA write what isn't writable.");
        Require(Areas.LongCount(area => area.Pages.File is null) == _userAreas, "The areas of user memory are counted.");
        Require(Areas.LongCount(area => !area.Slice.IsPinnable()) == _unpinnableAreas, "The areas that can't be pinned are counted.");
        Require(
            _areasByAlignment is null || Areas.GroupBy(area => area.Alignment).All(areas => _areasByAlignment[BitOperations.TrailingZeroCount(areas.Key)] == areas.Count()),
            "The areas are counted by their alignment.");
        Require((_areasByAlignment?.Sum() ?? 0) == AreaCount, "Every area is counted by its alignment once.");
        Require(_domains.Length == 0 || _unpinnableAreas == 0, "A domain maps only what can be pinned.");
        Require(Array.TrueForAll(_domains, domain => domain.PageSize <= IovaAlignment), "IOVAs are aligned to the pages of every domain.");
        foreach (var allowed in _allowed.Ranges)
        {
            Require(!_reserved.Overlaps(allowed), "No reserved IOVA is allowed.");
        }
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

    private static void Require(bool holds, string rule)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"The IO page table is broken: {rule}");
        }
    }
}
