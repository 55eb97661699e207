using System.Collections.Immutable;
using IommuFd.Uapi;
using static IommuFd.Uapi.Errno;

namespace IommuFd.Linearizability;

// Mappings. An IOAS that page tables mirror maps pages of the selftest's IOMMU, within its aperture; other IOASes map bytes, anywhere.

internal sealed partial class ContextSpecification
{
    private const ulong MachinePage = 4096;
    private const ulong IommuPage = 2048;
    private const ulong ApertureStart = 1UL << 24;
    private const ulong ApertureLast = (1UL << 31) - 1;

    private const IommuIoasMapFlags Access = IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable;

    private static (ContextState, IoctlAnswer) IoasMap(ContextState state, IommuIoasMap cmd)
    {
        if (cmd.Reserved != 0)
        {
            return Fail(state, EOPNOTSUPP);
        }

        if (CheckMapping(cmd.Flags, cmd.Length, cmd.Iova) is var errno && errno != None)
        {
            return Fail(state, errno);
        }

        if (state.Find<IoasObject>(cmd.IoasId) is null)
        {
            return Fail(state, ENOENT);
        }

        if (cmd.UserVa + cmd.Length < cmd.UserVa)
        {
            return Fail(state, EOVERFLOW);
        }

        if (cmd.Length is 0 or > ulong.MaxValue - MachinePage)
        {
            return Fail(state, EINVAL);
        }

        var isWriteable = IsWriteable(cmd.Flags);
        return Insert(state, cmd.IoasId, cmd.Flags, cmd.Iova, [new MappedArea(0, cmd.Length - 1, cmd.UserVa, isWriteable)], cmd);
    }

    // The source's pages are found before the destination is looked up.
    private static (ContextState, IoctlAnswer) IoasCopy(ContextState state, IommuIoasCopy cmd)
    {
        if (CheckMapping(cmd.Flags, cmd.Length, cmd.DstIova, cmd.SrcIova) is var errno && errno != None)
        {
            return Fail(state, errno);
        }

        if (state.Find<IoasObject>(cmd.SrcIoasId) is not { } source)
        {
            return Fail(state, ENOENT);
        }

        if (cmd.Length == 0)
        {
            return Fail(state, EINVAL);
        }

        if (!TryLast(cmd.SrcIova, cmd.Length, out var last))
        {
            return Fail(state, EOVERFLOW);
        }

        return Slice(source, cmd.SrcIova, last) is { } pieces && state.Find<IoasObject>(cmd.DstIoasId) is not null
            ? Insert(state, cmd.DstIoasId, cmd.Flags, cmd.DstIova, pieces, cmd)
            : Fail(state, ENOENT);
    }

    // Whole areas are unmapped one by one, ascending, up to one that extends beyond the range.
    private static (ContextState, IoctlAnswer) IoasUnmap(ContextState state, IommuIoasUnmap cmd)
    {
        if (state.Find<IoasObject>(cmd.IoasId) is not { } ioas)
        {
            return Fail(state, ENOENT);
        }

        var isAll = cmd.Iova == 0 && cmd.Length == ulong.MaxValue;
        var last = ulong.MaxValue;
        if (!isAll && (cmd.Iova == ulong.MaxValue || cmd.Length == ulong.MaxValue))
        {
            return Fail(state, EOVERFLOW);
        }

        if (!isAll && cmd.Length == 0)
        {
            return Fail(state, EINVAL);
        }

        if (!isAll && !TryLast(cmd.Iova, cmd.Length, out last))
        {
            return Fail(state, EOVERFLOW);
        }

        var touched = ioas.Areas.Where(area => area.Start <= last && area.Last >= cmd.Iova).ToList();
        var gone = touched.TakeWhile(area => area.Start >= cmd.Iova && area.Last <= last).ToList();
        var next = gone.Count == 0 ? state : state.With(cmd.IoasId, ioas with { Areas = ioas.Areas.RemoveRange(gone) });
        return gone.Count < touched.Count || (gone.Count == 0 && !isAll)
            ? Fail(next, ENOENT)
            : Succeed(next, cmd with { Length = gone.Aggregate(0UL, (sum, area) => sum + area.Length) });
    }

    // The errors of a mapping that do not depend on existing mappings.
    private static Errno CheckMapping(uint flags, params ReadOnlySpan<ulong> numbers)
    {
        if (((IommuIoasMapFlags)flags & ~(Access | IommuIoasMapFlags.FixedIova)) != 0)
        {
            return EOPNOTSUPP;
        }

        return numbers.Contains(ulong.MaxValue) ? EOVERFLOW : ((IommuIoasMapFlags)flags & Access) == 0 ? EINVAL : None;
    }

    // Maps pieces, each at its offset, from an IOVA on; answers with the argument, which already contains that IOVA.
    private static (ContextState, IoctlAnswer) Insert<T>(ContextState state, uint id, uint flags, ulong iova, ImmutableArray<MappedArea> pieces, in T argument)
        where T : unmanaged
    {
        if (!((IommuIoasMapFlags)flags).HasFlag(IommuIoasMapFlags.FixedIova))
        {
            throw OutOfScope("automatic IOVAs");
        }

        var ioas = state.Find<IoasObject>(id)!;
        var errno = CheckPlace(ioas, IsMirrored(state, id), iova, pieces, IsWriteable(flags));
        if (errno != None)
        {
            return Fail(state, errno);
        }

        var areas = ioas.Areas.AddRange(pieces.Select(piece => piece with { Start = iova + piece.Start, Last = iova + piece.Last }));
        return Succeed(state.With(id, ioas with { Areas = [.. areas.OrderBy(area => area.Start)] }), in argument);
    }

    private static Errno CheckPlace(IoasObject ioas, bool isMirrored, ulong iova, ImmutableArray<MappedArea> pieces, bool isWriteable)
    {
        var alignment = ioas.HugePagesOff ? MachinePage : isMirrored ? IommuPage : 1;
        var length = pieces[^1].Last + 1;
        if (length % alignment != 0 || iova % alignment != 0)
        {
            return EINVAL;
        }

        if (!TryLast(iova, length, out var last))
        {
            return EOVERFLOW;
        }

        if (isMirrored && (iova < ApertureStart || last > ApertureLast))
        {
            return EINVAL;
        }

        if (ioas.Areas.Any(area => area.Start <= last && area.Last >= iova))
        {
            return EEXIST;
        }

        foreach (var piece in pieces)
        {
            if (isWriteable && !piece.PagesWriteable)
            {
                return EPERM;
            }

            if (piece.Address % MachinePage % alignment != 0)
            {
                return EINVAL;
            }
        }

        return None;
    }

    // The pieces mapped from one IOVA to another, each with its offset; null if there is a gap.
    private static ImmutableArray<MappedArea>? Slice(IoasObject ioas, ulong start, ulong last)
    {
        var pieces = ioas.Areas
            .Where(area => area.Start <= last && area.Last >= start)
            .Select(area => (Area: area, From: Math.Max(area.Start, start), To: Math.Min(area.Last, last)))
            .Select(cut => new MappedArea(cut.From - start, cut.To - start, cut.Area.Address + (cut.From - cut.Area.Start), cut.Area.PagesWriteable))
            .ToImmutableArray();
        return pieces.Aggregate(0UL, (sum, piece) => sum + piece.Length) == last - start + 1 ? pieces : null;
    }

    private static bool TryLast(ulong start, ulong length, out ulong last)
    {
        last = start + (length - 1);
        return last >= start;
    }

    private static bool AreAligned(IoasObject ioas, ulong alignment)
        => ioas.Areas.All(area => area.Start % alignment == 0 && area.Length % alignment == 0 && area.Address % MachinePage % alignment == 0);

    private static bool IsWriteable(uint flags) => ((IommuIoasMapFlags)flags).HasFlag(IommuIoasMapFlags.Writeable);

    private static bool IsMirrored(ContextState state, uint ioas) => state.Objects.Any(pair => pair.Object is HwptObject hwpt && hwpt.Ioas == ioas);
}
