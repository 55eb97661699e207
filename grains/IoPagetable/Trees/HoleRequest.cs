using System.Numerics;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable.Trees;

// What an automatic IOVA must satisfy, and the arithmetic by which Linux tries a hole: round its start up to the alignment, then OR the
// offset in the page into it, and take that IOVA or leave the hole. A hole gets this one chance: with an offset, the OR can overshoot
// although a later IOVA of the same hole would fit, and Linux then goes on to the next hole. We do the same, since programs see the IOVA.
//
// Always: Alignment is a power of two, at most a huge page, and divides PageOffset; with a PageOffset it is less than a page. MayFit never
// rejects a hole that fits, and rarely accepts one that does not: only for an alignment below a page, if the hole starts inside a page and
// is less than two pages longer than the request. A search tries such holes one by one.

/// <summary>A search for the first hole that takes <paramref name="length"/> bytes.</summary>
internal readonly struct HoleRequest(ulong length, ulong alignment, ulong pageOffset)
{
    // A hole of a single IOVA is never taken, not even for a single byte.
    private readonly ulong _needed = Math.Max(length, 2);
    private readonly int _lane = GapSizes.LaneOf(alignment);

    /// <summary>The same request without its offset: what an allowed or unreserved range must satisfy to be worth searching.</summary>
    public HoleRequest WithoutPageOffset => new(length, alignment, 0);

    /// <summary>
    /// The alignment of an automatic IOVA: the memory's, as far as a mapping of this length can profit from it. Memory at address 0 counts
    /// as aligned to everything.
    /// </summary>
    public static ulong AlignmentFor(ulong address, ulong length)
    {
        var byLength = BitOperations.RoundUpToPowerOf2(length);
        var byAddress = address == 0 ? byLength : address & (0 - address);
        return Math.Min(Math.Min(byLength, byAddress), PageSizes.Huge);
    }

    /// <summary>Whether the request may fit a hole of these sizes, or one of several holes whose largest sizes these are.</summary>
    public bool MayFit(in GapSizes largest)
        => largest[_lane] >= _needed && (pageOffset == 0 || largest[GapSizes.PageLane] >= _needed + pageOffset);

    /// <summary>Tries a hole.</summary>
    public bool Fits(IovaRange hole, out ulong iova)
    {
        iova = hole.Start + (alignment - 1);
        if (iova < hole.Start)
        {
            return false;
        }

        iova = (iova & ~(alignment - 1)) | pageOffset;
        return iova < hole.Last && hole.Last - iova >= length - 1;
    }
}
