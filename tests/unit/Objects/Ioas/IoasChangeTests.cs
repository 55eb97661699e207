using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.IoPagetable;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.Objects.Ioas;

// What devices, page tables and accesses change in an IOAS in one step: all of it, or none.

public sealed class IoasChangeTests
{
    private const ulong Aperture = 0x100_0000;

    private static readonly DeviceDescription Tracking = new() { Name = "tracks" };
    private static readonly DeviceDescription Plain = new() { Name = "plain", TracksDirtyPages = false };
    private static readonly ObjectId Present = new(20);

    // Each succeeds behind those before it, and needs them.
    private static readonly IoasChange[] Good =
    [
        new AllocateDomain(new ObjectId(10), Tracking, IommuHwptAllocFlags.DirtyTracking, null),
        new AddDomain(new ObjectId(10)),
        new AttachToDomain(new ObjectId(10), Tracking),
        new ReserveRegions(new ObjectId(5), [new IovaRange(0x300_0000, 0x300_0FFF), new IovaRange(0x300_0800, 0x301_0FFF)]),
        new AddAccess(new ObjectId(7), NeedsPinPages: false),
        new AllocateDomain(new ObjectId(11), Plain, IommuHwptAllocFlags.None, null),
        new AddDomain(new ObjectId(11)),
        new ReserveRegions(new ObjectId(4), [new IovaRange(0, 0)]),
    ];

    // Each fails whatever went before it.
    private static readonly (IoasChange Change, Errno Errno)[] Bad =
    [
        (new AllocateDomain(new ObjectId(15), Tracking, IommuHwptAllocFlags.FaultIdValid, null), Errno.EOPNOTSUPP),
        (new AllocateDomain(new ObjectId(15), Plain, IommuHwptAllocFlags.DirtyTracking, null), Errno.EOPNOTSUPP),
        (new AllocateDomain(new ObjectId(15), Tracking, IommuHwptAllocFlags.None, new HwptUserData(IommuHwptDataType.Selftest, 0, [])), Errno.EINVAL),
        (new AddDomain(Present), Errno.EEXIST),
        (new AttachToDomain(Present, Plain), Errno.EINVAL),
        (new ReserveRegions(new ObjectId(6), [new IovaRange(0x400_0000, 0x400_0FFF), new IovaRange(Aperture, Aperture)]), Errno.EADDRINUSE),
        (new ReserveRegions(new ObjectId(6), [new IovaRange(0x400_0000, 0x400_0FFF), new IovaRange(0x200_1000, 0x200_1000)]), Errno.EADDRINUSE),
        (new AddAccess(new ObjectId(9), NeedsPinPages: true), Errno.EADDRINUSE),
    ];

    // An IOAS that has one of everything: a tracking domain with dirty pages, an area that is aligned to its pages but not to the machine's, what
    // is reserved and allowed, and an access that copies.
    private readonly IoasModel _ioas = new();

    public IoasChangeTests()
    {
        Changes(
            new AllocateDomain(Present, Tracking, IommuHwptAllocFlags.DirtyTracking, null),
            new AddDomain(Present),
            new AddAccess(new ObjectId(8), NeedsPinPages: false),
            new ReserveRegions(new ObjectId(3), [new IovaRange(0x500_0000, 0x500_0FFF)]));
        Ok(_ioas.MapAt(Aperture, 2 * Page));
        Ok(_ioas.MapAt(Aperture + 0x2800, 0x800));
        Ok(_ioas.Allow((0x200_0000, 0x200_FFFF)));
        Ok(_ioas.SetDirtyTracking(Present, enable: true));
        Ok(_ioas.MarkDirty(new DirtyRange(Present, Aperture, Page, 2048), [0b10], out _));
    }

    [Fact]
    public void A_change_that_fails_in_any_place_undoes_those_before_it()
    {
        for (var length = 0; length <= Good.Length; length++)
        {
            foreach (var (bad, errno) in Bad)
            {
                var what = $"{bad} behind {length} others";
                var before = _ioas.Snapshot();
                Expect.Equal(errno, _ioas.Change([.. Good[..length], bad, .. Good[length..]], out var diagnostic), what);
                Expect.That(diagnostic is not null, $"{what} has no diagnostic.");
                Expect.Equal(before, _ioas.Snapshot(), $"the IOAS after {what}");
            }
        }
    }

    [Fact]
    public void Changes_that_succeed_are_taken_away_one_by_one()
    {
        var before = _ioas.Snapshot();
        Changes(Good);
        Expect.Equal((3, 3, 2), (_ioas.Domains.Count, _ioas.Table.Domains.Count, _ioas.Accesses.Count), "HWPTs, domains and accesses");
        Expect.That(_ioas.Table.Reserved.Overlaps(new IovaRange(0x301_0FFF, 0x301_0FFF)), "A device's region is not reserved.");
        Changes(
            new RemoveReserved(new ObjectId(5)), new RemoveDomain(new ObjectId(11)), new RemoveAccess(new ObjectId(7)), new RemoveReserved(new ObjectId(4)),
            new RemoveDomain(new ObjectId(10)));
        Expect.Equal(before, _ioas.Snapshot(), "the IOAS after all was taken away");
    }

    [Fact]
    public void A_domain_that_can_t_be_added_is_not_left_allocated()
    {
        Ok(_ioas.Table.UnmapAll(out _));
        Changes(new RemoveDomain(Present));
        Ok(_ioas.MapAt(Page));
        var before = _ioas.Snapshot();
        var errno = _ioas.Change([Good[0], Good[1]], out var diagnostic);
        Expect.Equal((Errno.EADDRINUSE, DiagnosticReason.OutsideAperture), (errno, diagnostic!.Reason), "adding a domain that leaves an area out");
        Expect.Equal(before, _ioas.Snapshot(), "the IOAS after the failure");
    }

    [Theory]
    [InlineData(Aperture + 1, 0x800, DiagnosticReason.AreasMisaligned)]
    [InlineData(Aperture, 0x801, DiagnosticReason.AreasMisaligned)]
    [InlineData(0x8000_0000, 0x800, DiagnosticReason.OutsideAperture)]
    public void The_diagnostic_says_what_keeps_a_domain_out(ulong iova, ulong length, DiagnosticReason reason)
    {
        Ok(_ioas.Table.UnmapAll(out _));
        Changes(new RemoveDomain(Present));
        Ok(_ioas.MapAt(iova, length));
        Expect.Equal(Errno.EADDRINUSE, _ioas.Change([Good[0], Good[1]], out var diagnostic), "adding a domain");
        Expect.Equal(reason, diagnostic!.Reason, "the reason");
    }

    [Fact]
    public void Memory_that_can_t_be_pinned_is_named_by_its_area()
    {
        Ok(_ioas.Table.UnmapAll(out _));
        Changes(new RemoveDomain(Present));
        ulong iova = Aperture;
        Ok(_ioas.Map(Fixed, Memory, Page, 0, 0, ref iova));
        Expect.Equal(Errno.EFAULT, _ioas.Change([Good[0], Good[1]], out var diagnostic), "adding a domain");
        Expect.Equal((DiagnosticReason.MemoryNotPinnable, (IovaRange?)new IovaRange(Aperture, Aperture + 0xFFF)), (diagnostic!.Reason, diagnostic.Overlap), "why");
    }

    [Fact]
    public void An_access_that_goes_with_a_domain_takes_its_pins()
    {
        Ok(_ioas.UnmapAt(Aperture + 0x2800, 0x800, out _));
        var access = new ObjectId(9);
        Changes(new AddAccess(access, NeedsPinPages: true));
        Ok(_ioas.PinPages(new IoasAccessRequest(access, Aperture, 2 * Page, IommuTestAccessFlags.None), 1, default, []));
        Changes(new RemoveDomain(Present), new RemoveAccess(access));
        Expect.Equal((0L, 0L, 1UL), (_ioas.Accesses.PinCount, _ioas.Table.PinnedAreaCount, _ioas.Table.IovaAlignment), "pins and alignment");
        Expect.Equal(0, _ioas.Domains.Count, "HWPTs");
    }

    [Fact]
    public void All_is_pinned_where_a_domain_is_and_else_what_accesses_have_pinned()
    {
        Ok(_ioas.UnmapAt(Aperture + 0x2800, 0x800, out _));
        var access = new ObjectId(9);
        Changes(new AddAccess(access, NeedsPinPages: true));
        Ok(_ioas.PinPages(new IoasAccessRequest(access, Aperture + Page, Page, IommuTestAccessFlags.None), 1, default, []));
        Expect.Sequence([new IovaRange(Memory, Memory + 0x1FFF)], Pinned(IovaRange.All), "runs pinned with a domain");
        Changes(new RemoveDomain(Present));
        Expect.Sequence([new IovaRange(Memory + Page, Memory + 0x1FFF)], Pinned(IovaRange.All), "runs pinned without");
        Expect.Sequence([], Pinned(new IovaRange(Memory, Memory + 0xFFF)), "runs pinned of another page");
        Changes(new RemoveAccess(access));
        Expect.Sequence([], Pinned(IovaRange.All), "runs pinned by nobody");
    }

    [Fact]
    public void A_piece_of_a_page_pins_the_page_and_a_file_none_of_the_caller_s_memory()
    {
        Ok(_ioas.Table.UnmapAll(out _));
        Ok(_ioas.MapAt(Aperture, 0x800, Memory + 0x800));
        ulong iova = Aperture + Page;
        Ok(_ioas.MapFile(Fixed, new MappedFile("file 1"), Memory, Page, Page, ref iova));
        Expect.Sequence([new IovaRange(Memory, Memory + 0xFFF)], Pinned(IovaRange.All), "runs pinned");
    }

    private List<IovaRange> Pinned(IovaRange addresses)
    {
        List<PinnedRun> runs = [];
        Expect.That(_ioas.TryFindPinned(addresses, default, runs), "There was more pinned than a reply carries.");
        return [.. runs.Select(run => run.Range)];
    }

    private void Changes(params IoasChange[] changes)
    {
        Expect.Equal(Errno.None, _ioas.Change(changes, out var diagnostic), string.Join(", ", (object[])changes));
        Expect.Equal(null, diagnostic, "the diagnostic of changes that succeed");
    }
}
