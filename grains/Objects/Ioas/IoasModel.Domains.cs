using System.Numerics;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// What devices, page tables and accesses change in an IOAS and ask of it. The domain of a HWPT lives here and not in a grain of its own,
// because mapping changes the IOAS and all of its domains in one step, as the kernel's iova_rwsem and domains_rwsem make it one.

internal sealed partial class IoasModel
{
    // Zero bytes of a bitmap that are worth leaving out of an answer.
    private const int LongestZeroRun = 64;

    private static readonly Dictionary<ObjectId, IommuDomain> NoDomains = [];

    private Dictionary<ObjectId, IommuDomain>? _domains;
    private IoasAccesses? _accesses;

    /// <summary>The domains, by their HWPT.</summary>
    public IReadOnlyDictionary<ObjectId, IommuDomain> Domains => _domains ?? NoDomains;

    /// <summary>The accesses and their pins.</summary>
    public IoasAccesses Accesses => _accesses ?? IoasAccesses.None;

    /// <summary>Makes changes, all of them or none. Those that take something away can't fail and are not undone, so they come last.</summary>
    /// <param name="changes">The changes, in order.</param>
    /// <param name="diagnostic">Why one fails; null on success, and where something must be known first.</param>
    /// <param name="look">Looks at the memory that a domain pins.</param>
    public Errno Change(ReadOnlySpan<IoasChange> changes, out IoctlDiagnostic? diagnostic, PinLook? look = null)
    {
        diagnostic = null;
        look ??= new PinLook(default);
        var undo = new Stack<Action>();
        foreach (var change in changes)
        {
            var errno = Change(change, look, undo);
            if (errno == Errno.None)
            {
                continue;
            }

            diagnostic = errno == Errno.EAGAIN ? null : IoasDiagnostics.Change(this, change, errno, look);
            while (undo.TryPop(out var step))
            {
                step();
            }

            return errno;
        }

        return Errno.None;
    }

    /// <summary>
    /// The holders that follow from what there is: of the IOAS its domains and accesses, of a domain the devices that are attached to it, of an access
    /// its driver. Null where there is no such part.
    /// </summary>
    /// <param name="part">A HWPT or an access; 0 for the IOAS.</param>
    public long? Holders(ObjectId part)
        => part == default ? Domains.Count + Accesses.Count
            : Domains.TryGetValue(part, out var domain) ? domain.Users
            : Accesses.Contains(part) ? 1
            : null;

    /// <summary>Ends a domain that is free to go.</summary>
    public void RemovePart(ObjectId part)
    {
        if (Domains.TryGetValue(part, out var domain))
        {
            Remove(domain, part);
        }
    }

    /// <summary><c>iommufd_access_pin_pages</c>, and the selftest's comparison of what was pinned.</summary>
    /// <param name="request">What to pin, and by whom.</param>
    /// <param name="pin">The number that the pin gets.</param>
    /// <param name="expected">What the pages should be; null compares nothing.</param>
    /// <param name="slices">Gets the pages.</param>
    /// <param name="look">Looks at the memory.</param>
    public Errno PinPages(IoasAccessRequest request, uint pin, ExpectedMemory? expected, List<PagesSlice> slices, PinLook? look = null)
    {
        var iova = IovaOf(request);
        var errno = Table.Pin(iova, request.Length, request.Flags.HasFlag(IommuTestAccessFlags.Write), Accesses.LocksAreas(request.Access), slices, look);
        if (errno != Errno.None)
        {
            return errno;
        }

        var range = new IovaRange(iova, iova + (request.Length - 1));
        errno = expected is { } memory ? PageComparison.Compare(slices, FirstPage(memory, iova), memory, out _) : Errno.None;
        if (errno != Errno.None)
        {
            Table.Unpin(new PinnedRange(range, Accesses.LocksAreas(request.Access)));
            slices.Clear();
            return errno;
        }

        _accesses!.AddPin(request.Access, pin, range);
        return Errno.None;
    }

    /// <summary><c>iommufd_access_unpin_pages</c>.</summary>
    public Errno UnpinPages(ObjectId access, uint pin) => Accesses.RemovePin(access, pin, Table) ? Errno.None : Errno.ENOENT;

    /// <summary><c>iommufd_access_rw</c>: the pages to copy from or to.</summary>
    public Errno AccessRw(IoasAccessRequest request, List<PagesSlice> slices, PinLook? look = null)
        => Table.Resolve(IovaOf(request), request.Length, request.Flags.HasFlag(IommuTestAccessFlags.Write), slices, look);

    /// <summary>Translates an access of a device: all of its ranges, or none. What it writes becomes dirty where the page table tracks that.</summary>
    /// <param name="access">The access.</param>
    /// <param name="slices">Gets the pages, in the order of the ranges; meaningless on failure.</param>
    /// <param name="dirtied">Pages that have become dirty.</param>
    /// <param name="failed">The range that fails.</param>
    public Errno Translate(DmaAccess access, List<PagesSlice> slices, out ulong dirtied, out DmaRange failed)
    {
        (dirtied, failed) = (0, default);
        foreach (var range in access.Ranges)
        {
            var pieces = new List<PagesSlice>();
            var errno = Table.Translate(range.Iova, range.Length, access.Write, pieces);
            slices.AddRange(pieces);
            if (errno != Errno.None || slices.Count > IoctlLimits.MaxAccessPieces)
            {
                failed = range;
                return errno == Errno.None ? Errno.ENOMEM : errno;
            }
        }

        var domain = Domains[access.Hwpt];
        dirtied = access.Write && domain.TracksDirty ? MarkWritten(domain, access.Ranges) : 0;
        return Errno.None;
    }

    /// <summary>The first IOVA of a range that can't be translated.</summary>
    public ulong StopOf(DmaRange range, bool write)
        => IovaRange.TryOfLength(range.Iova, range.Length, out _) ? Table.StopOf(range.Iova, range.Length, write, PagesUse.Dma, new PinLook(default)) : range.Iova;

    /// <summary>Why <see cref="Translate"/> has failed.</summary>
    public IoctlDiagnostic WhyNotTranslated(Errno errno, DmaRange range, bool write)
        => IoasDiagnostics.Access(Table, errno, range.Iova, range.Length, StopOf(range, write), isPin: false);

    /// <summary>How many bytes of pages, from one on, are pinned here without a gap.</summary>
    public ulong PinnedBytes(PagesId pages, ulong startByte) => Table.PinnedBytes(pages, startByte, Accesses.Pins);

    /// <summary><c>IOMMU_HWPT_SET_DIRTY_TRACKING</c>: enabling starts with every page clean.</summary>
    public Errno SetDirtyTracking(ObjectId hwpt, bool enable)
    {
        var domain = Domains[hwpt];
        if (!domain.CanTrackDirty)
        {
            return Errno.EOPNOTSUPP;
        }

        if (enable)
        {
            domain.Clean(IovaRange.All);
        }

        return domain.SetDirtyTracking(enable);
    }

    /// <summary><c>IOMMU_HWPT_GET_DIRTY_BITMAP</c>.</summary>
    /// <param name="range">What to read.</param>
    /// <param name="clear">Whether it is clean afterwards.</param>
    /// <param name="pieces">Gets the parts of the bitmap that are not zero.</param>
    public Errno ReadDirty(DirtyRange range, bool clear, List<BitmapPiece> pieces)
    {
        var domain = Domains[range.Hwpt];
        if (CheckDirtyRange(range, out var iovas) is var errno && errno != Errno.None)
        {
            return errno;
        }

        if (!domain.CanTrackDirty)
        {
            return Errno.EOPNOTSUPP;
        }

        if (!BitmapPieces.TryCollect(domain.DirtyRuns(iovas), iovas, BitOperations.TrailingZeroCount(range.PageSize), LongestZeroRun, pieces))
        {
            return Errno.ENOMEM;
        }

        // An entry that reaches out of the range has one bit, which is clean then.
        if (clear)
        {
            domain.Clean(new IovaRange(EntryOf(domain, iovas.Start)?.Start ?? iovas.Start, EntryOf(domain, iovas.Last)?.Last ?? iovas.Last));
        }

        return Errno.None;
    }

    /// <summary><c>IOMMU_TEST_OP_DIRTY</c>.</summary>
    /// <param name="range">Which pages.</param>
    /// <param name="bitmap">The bits of those that become dirty, as far as they could be read.</param>
    /// <param name="count">Bits that are set, whether or not a page is mapped there.</param>
    public Errno MarkDirty(DirtyRange range, ReadOnlySpan<byte> bitmap, out ulong count)
    {
        count = 0;
        var domain = Domains[range.Hwpt];
        if (!domain.TracksDirty)
        {
            return Errno.EINVAL;
        }

        var pages = range.Length / range.PageSize;
        if ((UInt128)bitmap.Length * 8 < pages)
        {
            return Errno.EFAULT;
        }

        for (ulong page = 0; page < pages; page++)
        {
            if ((bitmap[(int)(page / 8)] & (1 << (int)(page % 8))) == 0)
            {
                continue;
            }

            count++;
            var iova = range.Iova + (page * range.PageSize);
            if (EntryOf(domain, iova) is { } entry)
            {
                domain.MarkDirty(entry);
            }
        }

        return Errno.None;
    }

    /// <summary><c>IOMMU_TEST_OP_MD_CHECK_MAP</c>.</summary>
    public Errno CheckMap(ObjectId hwpt, ulong iova, ulong length, ExpectedMemory expected)
    {
        var pageSize = Domains[hwpt].PageSize;
        if (((iova | length | expected.Address) & (pageSize - 1)) != 0 || expected.Address + length < length)
        {
            return Errno.EINVAL;
        }

        return length == 0 ? Errno.None : PageComparison.CheckMapped(Table, iova, length, pageSize, expected, out _);
    }

    /// <summary>Why <see cref="PinPages"/> has failed.</summary>
    public IoctlDiagnostic WhyNotPinned(Errno errno, IoasAccessRequest request, ExpectedMemory? expected, PinFacts facts = default)
    {
        var iova = IovaOf(request);
        var stop = Table.StopOf(iova, request.Length, request.Flags.HasFlag(IommuTestAccessFlags.Write), PagesUse.Pin, new PinLook(facts));
        if (request.Length == 0 || stop - iova < request.Length)
        {
            return IoasDiagnostics.Access(Table, errno, iova, request.Length, stop, isPin: true);
        }

        // All of it could be pinned: the comparison has failed.
        var slices = new List<PagesSlice>();
        Table.GetPages(iova, request.Length, slices);
        var memory = expected!.Value;
        PageComparison.Compare(slices, FirstPage(memory, iova), memory, out var right);
        return IoasDiagnostics.Other(Table, errno, iova + right, request.Length, memory);
    }

    /// <summary>Why <see cref="AccessRw"/> has failed.</summary>
    public IoctlDiagnostic WhyNotCopied(Errno errno, IoasAccessRequest request, PinFacts facts = default)
    {
        var iova = IovaOf(request);
        var stop = Table.StopOf(iova, request.Length, request.Flags.HasFlag(IommuTestAccessFlags.Write), PagesUse.Copy, new PinLook(facts));
        return IoasDiagnostics.Access(Table, errno, iova, request.Length, stop, isPin: false);
    }

    /// <summary>Why <see cref="CheckMap"/> has failed.</summary>
    public IoctlDiagnostic WhyNotMapped(Errno errno, ObjectId hwpt, ulong iova, ulong length, ExpectedMemory expected)
    {
        var pageSize = Domains[hwpt].PageSize;
        if (!IoasDiagnostics.IsAligned(iova, pageSize))
        {
            return IoasDiagnostics.Misaligned(iova, length, pageSize);
        }

        if (!IoasDiagnostics.IsAligned(length | expected.Address, pageSize) || expected.Address + length < length)
        {
            return IoasDiagnostics.NoMemory(expected.Address, length, pageSize);
        }

        PageComparison.CheckMapped(Table, iova, length, pageSize, expected, out var right);
        return IoasDiagnostics.Other(Table, errno, iova + right, length, expected);
    }

    /// <summary>What is pinned of the caller's memory; false where it is more than one reply carries.</summary>
    public bool TryFindPinned(IovaRange addresses, ExpectedMemory memory, List<PinnedRun> runs)
        => PinnedPages.TryFind(Table, Accesses.Pins, addresses, memory, runs);

    private IovaRange? EntryOf(IommuDomain domain, ulong iova) => Table.FirstArea(new IovaRange(iova, iova)) is { } area ? domain.EntryOf(area, iova) : null;

    // What was translated is mapped.
    private ulong MarkWritten(IommuDomain domain, DmaRange[] ranges)
    {
        var before = domain.DirtyCount;
        foreach (var range in ranges)
        {
            var last = range.Iova + (range.Length - 1);
            for (var iova = range.Iova; ;)
            {
                var entry = EntryOf(domain, iova)!.Value;
                domain.MarkDirty(entry);
                if (entry.Last >= last)
                {
                    break;
                }

                iova = entry.Last + 1;
            }
        }

        return (ulong)(domain.DirtyCount - before);
    }

    private IoasAccesses SetAccesses(IoasAccesses accesses)
    {
        _accesses = accesses;
        Table.RevokePins = range => accesses.Revoke(range, Table);
        return accesses;
    }

    private Errno Change(IoasChange change, PinLook look, Stack<Action> undo)
    {
        Errno errno;
        switch (change)
        {
            case AllocateDomain allocate:
                errno = IommuDriver.Of(allocate.Device).AllocateDomain(allocate.Device, allocate.Flags, allocate.Data, out var allocated);
                if (errno == Errno.None)
                {
                    (_domains ??= []).Add(allocate.Hwpt, allocated!);
                    undo.Push(() => _domains.Remove(allocate.Hwpt));
                }

                return errno;

            case AddDomain add:
                errno = Table.AddDomain(Domains[add.Hwpt], look);
                if (errno == Errno.None)
                {
                    undo.Push(() => Table.RemoveDomain(Domains[add.Hwpt]));
                }

                return errno;

            case RemoveDomain remove:
                Remove(Domains[remove.Hwpt], remove.Hwpt);
                return Errno.None;

            case AttachToDomain attach:
                return Attach(attach, IommuDriver.Of(attach.Device).InstanceOf(attach.Device));

            case JoinDomain join when !Domains.ContainsKey(join.Hwpt):
                return Errno.ENOENT;

            case JoinDomain join:
                Domains[join.Hwpt].Users++;
                undo.Push(() => Domains[join.Hwpt].Users--);
                return Errno.None;

            case LeaveDomain leave:
                Domains[leave.Hwpt].Users--;
                return Errno.None;

            case ReserveRegions reserve:
                return Reserve(reserve, undo);

            case RemoveReserved remove:
                Table.RemoveReserved(remove.Device);
                return Errno.None;

            case AddAccess add:
                errno = Table.AddAccess(add.NeedsPinPages);
                if (errno == Errno.None)
                {
                    (_accesses ?? SetAccesses(new IoasAccesses())).Add(add.Access, add.NeedsPinPages, add.LocksAreas);
                    undo.Push(() => Remove(add.Access));
                }

                return errno;

            case RemoveAccess remove:
                Remove(remove.Access);
                return Errno.None;

            default:
                throw new ArgumentOutOfRangeException(nameof(change), change, "No such change.");
        }
    }

    private Errno Attach(AttachToDomain attach, string iommu)
        => attach.Pasid == 0 ? Domains[attach.Hwpt].Attach(attach.Device, iommu) : Domains[attach.Hwpt].SetPasid(attach.Device, iommu, attach.Pasid);

    private void Remove(IommuDomain domain, ObjectId hwpt)
    {
        Table.RemoveDomain(domain);
        _domains!.Remove(hwpt);
    }

    private void Remove(ObjectId access) => Table.RemoveAccess(_accesses!.Remove(access, Table));

    // Of a device with several regions, those reserved before one that can't be are given up too.
    private Errno Reserve(ReserveRegions reserve, Stack<Action> undo)
    {
        undo.Push(() => Table.RemoveReserved(reserve.Device));
        foreach (var region in reserve.Regions)
        {
            if (Table.Reserve(region, reserve.Device) is var errno && errno != Errno.None)
            {
                return errno;
            }
        }

        return Errno.None;
    }

    // An expected address is that of the first IOVA, which may lie within its page.
    private static ExpectedMemory FirstPage(ExpectedMemory expected, ulong iova) => expected with { Address = expected.Address - PageSizes.OffsetOf(iova) };

    private ulong IovaOf(IoasAccessRequest request)
        => request.Flags.HasFlag(IommuTestAccessFlags.Syz) ? Table.IovaInArea((uint)request.Iova, (uint)(request.Iova >> 32)) : request.Iova;

    // iommufd_check_iova_range: the range must be whole pages, of the IOAS and of the bitmap.
    private Errno CheckDirtyRange(DirtyRange range, out IovaRange iovas)
    {
        iovas = new IovaRange(range.Iova, range.Iova + (range.Length - 1));
        if (iovas.Last < iovas.Start)
        {
            return Errno.EOVERFLOW;
        }

        var end = iovas.Last + 1;
        return ((range.Iova | end) & (Table.IovaAlignment - 1)) != 0
            || range.PageSize == 0
            || ((range.Iova | end) & (range.PageSize - 1)) != 0
            ? Errno.EINVAL
            : Errno.None;
    }
}
