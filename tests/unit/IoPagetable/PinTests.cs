using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.IoPagetable;

// What accesses do with mapped IOVAs: pin (iommufd_access_pin_pages), unpin, and look up to copy (iommufd_access_rw).

public sealed class PinTests
{
    private static readonly MappedFile File = new("file 1");
    private static readonly ObjectId First = new(7);
    private static readonly ObjectId Second = new(8);

    private readonly IoasModel _ioas = new();

    private IoptTable Table => _ioas.Table;

    [Theory]
    [InlineData(0x10000, 0, Errno.EINVAL)]
    [InlineData(0x1, 0, Errno.EINVAL)]
    [InlineData(ulong.MaxValue, 2, Errno.EOVERFLOW)]
    [InlineData(0x10000, ulong.MaxValue, Errno.EOVERFLOW)]
    [InlineData(0x9000, 0x1000, Errno.ENOENT)]
    [InlineData(ulong.MaxValue, 1, Errno.ENOENT)]
    public void Length_0_is_EINVAL_before_overflow_is_EOVERFLOW_before_nothing_mapped_is_ENOENT(ulong iova, ulong length, Errno errno)
    {
        Ok(_ioas.MapAt(0x10000));
        FailsToPin(errno, iova, length);
        FailsToResolve(errno, iova, length, write: false);
    }

    [Fact]
    public void A_pin_must_start_at_a_page_and_may_end_inside_one()
    {
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        FailsToPin(Errno.EINVAL, 0x10800, 0x800);
        FailsToPin(Errno.EINVAL, 0x10001, Page);
        Pins(0x11000, 1, (0x11000, 1));
        Resolves(0x10FFF, 2, (0x10FFF, 2));
    }

    [Fact]
    public void What_lies_in_more_areas_than_a_reply_carries_is_ENOMEM_and_not_pinned()
    {
        const int Areas = IoctlLimits.MaxAccessPieces;
        for (ulong i = 0; i <= Areas; i++)
        {
            Ok(_ioas.MapAt(0x10000 + (i * Page)));
        }

        var slices = new List<PagesSlice>();
        Expect.Equal(Errno.ENOMEM, Table.Resolve(0x10000, (Areas + 1) * Page, write: false, slices), "looking up one area too many");
        Expect.Equal(Errno.ENOMEM, Table.Pin(0x10000, (Areas + 1) * Page, write: false, locks: false, slices), "pinning one area too many");
        Expect.Equal((0, 0L), (slices.Count, Table.PinnedAreaCount), "slices, and areas that are pinned");
        Ok(Table.Pin(0x10000, Areas * Page, write: false, locks: false, slices));
        Expect.Equal((Areas, (long)Areas), (slices.Count, Table.PinnedAreaCount), "slices, and areas that are pinned, of as many as fit");
    }

    [Fact]
    public void It_is_the_memory_s_page_that_a_pin_must_start_at()
    {
        Ok(_ioas.MapAt(0x10000, 2 * Page, Memory + 0x800));
        FailsToPin(Errno.EINVAL, 0x10000, Page);
        Pins(0x10800, Page, (0x10800, Page));
    }

    [Fact]
    public void Areas_that_meet_inside_a_page_of_memory_can_t_be_pinned_together()
    {
        Ok(_ioas.MapAt(0x10000, 0x1800));
        Ok(_ioas.MapAt(0x11800, 0x1000));
        FailsToPin(Errno.EINVAL, 0x10000, 0x2000);
        Pins(0x10000, 0x1800, (0x10000, 0x1800));
        Resolves(0x10000, 0x2000, (0x10000, 0x1800), (0x11800, 0x800));
    }

    [Theory]
    [InlineData(IommuIoasMapFlags.Readable, false, Errno.None)]
    [InlineData(IommuIoasMapFlags.Readable, true, Errno.EPERM)]
    [InlineData(IommuIoasMapFlags.Writeable, false, Errno.EPERM)]
    [InlineData(IommuIoasMapFlags.Writeable, true, Errno.None)]
    public void What_the_mapping_does_not_permit_is_EPERM(IommuIoasMapFlags flags, bool write, Errno errno)
    {
        Ok(_ioas.MapAt(0x10000, flags: flags | IommuIoasMapFlags.FixedIova));
        List<PagesSlice> slices = [];
        Expect.Equal(errno, Table.Resolve(0x10000, Page, write, slices), "looking up");
        slices.Clear();
        Expect.Equal(errno, Table.Pin(0x10000, Page, write, locks: false, slices), "pinning");
        Expect.Equal(errno == Errno.None ? 1 : 0, slices.Count, "pieces pinned");
    }

    [Fact]
    public void Misaligned_is_EINVAL_before_EPERM_before_what_can_t_be_pinned()
    {
        ulong iova = 0x10000;
        Ok(_ioas.Map(Fixed & ~IommuIoasMapFlags.Writeable, Memory, Page, 0, 0, ref iova));
        FailsToPin(Errno.EINVAL, 0x10800, 0x800, write: true);
        FailsToPin(Errno.EPERM, 0x10000, Page, write: true);
        FailsToPin(Errno.EFAULT, 0x10000, Page);
        FailsToPin(Errno.EFAULT, 0x10000, 2 * Page);
    }

    [Fact]
    public void Memory_that_can_t_be_pinned_is_EFAULT_and_a_file_EINVAL()
    {
        ulong iova = 0x10000;
        Ok(_ioas.Map(Fixed, Memory, 2 * Page, Page, Page, ref iova));
        iova = 0x20000;
        Ok(_ioas.MapFile(Fixed, File, 0, 2 * Page, Page, ref iova));
        Pins(0x10000, Page, (0x10000, Page));
        Pins(0x20000, Page, (0x20000, Page));
        FailsToPin(Errno.EFAULT, 0x11000, 1);
        FailsToPin(Errno.EFAULT, 0x10000, Page + 1);
        FailsToPin(Errno.EINVAL, 0x21000, 1);
        FailsToPin(Errno.EINVAL, 0x20000, Page + 1);
        Resolves(0x11000, 1, (0x11000, 1));
    }

    [Fact]
    public void A_gap_is_ENOENT_after_what_is_wrong_with_the_areas_before_it()
    {
        Ok(_ioas.MapAt(0x10000));
        Ok(_ioas.MapAt(0x11000, flags: Fixed & ~IommuIoasMapFlags.Writeable));
        Ok(_ioas.MapAt(0x13000));
        FailsToPin(Errno.ENOENT, 0x10000, 3 * Page);
        FailsToPin(Errno.EPERM, 0x10000, 3 * Page, write: true);
        FailsToPin(Errno.ENOENT, 0x13000, Page + 1, write: true);
        FailsToPin(Errno.ENOENT, 0x12000, 2 * Page, write: true);
        FailsToResolve(Errno.ENOENT, 0x10000, 3 * Page, write: false, (0x10000, Page), (0x11000, Page));
        FailsToResolve(Errno.EPERM, 0x10000, 3 * Page, write: true, (0x10000, Page));
    }

    [Fact]
    public void A_file_whose_pages_can_t_be_pinned_can_t_be_copied_from_either()
    {
        ulong iova = 0x10000;
        Ok(_ioas.MapFile(Fixed, new MappedFile("no memfd"), 0, Page, 0, ref iova));
        FailsToResolve(Errno.EINVAL, 0x10000, Page, write: false);
    }

    [Fact]
    public void A_pin_across_areas_counts_once_in_each_and_is_dropped_as_a_whole()
    {
        Ok(_ioas.MapAt(0x10000));
        Ok(_ioas.MapAt(0x11000, 2 * Page));
        Ok(_ioas.MapAt(0x13000));
        Pins(0x10000, 4 * Page, (0x10000, Page), (0x11000, 2 * Page), (0x13000, Page));
        Pins(0x12000, Page, (0x12000, Page));
        Expect.Sequence([1, 2, 1], Table.Areas.Select(area => area.Pins), "pins of each area");
        Table.Unpin(Unlocked(0x10000, 0x13FFF));
        Expect.Sequence([0, 1, 0], Table.Areas.Select(area => area.Pins), "pins of each area after the first went");
        Table.Unpin(Unlocked(0x12000, 0x12FFF));
        Expect.Equal(0L, Table.PinnedAreaCount, "pins");
        Table.Validate();
    }

    [Fact]
    public void The_last_page_of_all_IOVAs_can_be_pinned_and_unpinned()
    {
        const ulong Last = 0xFFFF_FFFF_FFFF_F000;
        Ok(_ioas.MapAt(Last));
        Pins(Last, Page, (Last, Page));
        Table.Unpin(Unlocked(Last, ulong.MaxValue));
        Expect.Equal(0L, Table.PinnedAreaCount, "pins");
    }

    [Fact]
    public void A_pinned_area_can_t_be_split_until_the_last_pin_in_it_goes()
    {
        Ok(_ioas.MapAt(0x10000, 4 * Page));
        Pins(0x13000, Page, (0x13000, Page));
        Pins(0x13000, Page, (0x13000, Page));
        Expect.Equal(Errno.EINVAL, Table.Cut([0x11FFF]), "a cut with two pins");
        Table.Unpin(Unlocked(0x13000, 0x13FFF));
        Expect.Equal(Errno.EINVAL, Table.Cut([0x11FFF]), "a cut with one pin");
        Table.Unpin(Unlocked(0x13000, 0x13FFF));
        Ok(Table.Cut([0x11FFF]));
        Expect.Equal("10000-11fff 12000-13fff", _ioas.Areas(), "areas after the cut");
    }

    [Fact]
    public void An_access_that_pins_needs_areas_aligned_to_pages_and_one_that_copies_does_not()
    {
        Ok(_ioas.MapAt(0x10800));
        Changes(Errno.EADDRINUSE, new AddAccess(First, NeedsPinPages: true));
        Expect.Equal(1UL, Table.IovaAlignment, "alignment after the failure");
        Expect.That(!_ioas.Accesses.Contains(First), "An access that failed to come is there.");
        Changes(Errno.None, new AddAccess(Second, NeedsPinPages: false));
        Expect.Equal(1UL, Table.IovaAlignment, "alignment with an access that copies");
        Ok(_ioas.UnmapAt(0x10800, Page, out _));
        Changes(Errno.None, new AddAccess(First, NeedsPinPages: true));
        Expect.Equal(Errno.EINVAL, _ioas.MapAt(0x10800), "mapping the same with an access that pins");
    }

    [Fact]
    public void Alignment_falls_back_when_the_last_access_that_pins_goes()
    {
        var domain = new TestDomain(pageSize: 2048);
        Ok(Table.AddDomain(domain));
        Changes(Errno.None, new AddAccess(First, NeedsPinPages: true), new AddAccess(Second, NeedsPinPages: true));
        Expect.Equal(Page, Table.IovaAlignment, "alignment with two accesses");
        Changes(Errno.None, new RemoveAccess(First));
        Expect.Equal(Page, Table.IovaAlignment, "alignment with one access");
        Changes(Errno.None, new RemoveAccess(Second));
        Expect.Equal(2048UL, Table.IovaAlignment, "alignment with the domain alone");
        Table.RemoveDomain(domain);
        Expect.Equal(1UL, Table.IovaAlignment, "alignment with nothing");
    }

    [Fact]
    public void Unmapping_drops_every_pin_in_an_area_whoever_has_it_and_no_other()
    {
        AddAccesses();
        Ok(_ioas.MapAt(0x10000));
        Ok(_ioas.MapAt(0x11000));
        Ok(_ioas.MapAt(0x12000));
        PinsPages(First, 1, 0x10000, Page);
        PinsPages(First, 2, 0x10000, 3 * Page);
        PinsPages(Second, 3, 0x11000, 2 * Page);
        PinsPages(Second, 4, 0x12000, Page);
        Ok(_ioas.UnmapAt(0x11000, Page, out _));
        Expect.Equal("10000-10fff 12000-12fff", _ioas.Areas(), "areas left");
        Expect.Equal((2L, (1L, Page), (1L, Page)), (_ioas.Accesses.PinCount, _ioas.Accesses.PinsOf(First), _ioas.Accesses.PinsOf(Second)), "pins left");
        Expect.Equal(Errno.ENOENT, _ioas.UnpinPages(First, 2), "dropping a pin that was revoked");
        Expect.Equal(Errno.ENOENT, _ioas.UnpinPages(Second, 3), "dropping another pin that was revoked");
        Ok(_ioas.UnpinPages(First, 1));
        Ok(_ioas.UnpinPages(Second, 4));
        Expect.Equal(0L, Table.PinnedAreaCount, "pins that the table counts");
    }

    [Fact]
    public void An_unmap_that_fails_revokes_only_the_pins_of_areas_that_have_gone()
    {
        AddAccesses();
        Ok(_ioas.MapAt(0x10000));
        Ok(_ioas.MapAt(0x11000, 2 * Page));
        PinsPages(First, 1, 0x10000, Page);
        PinsPages(First, 2, 0x11000, Page);
        Expect.Equal(Errno.ENOENT, _ioas.UnmapAt(0x10000, 2 * Page, out _), "unmapping half an area");
        Expect.Equal("11000-12fff", _ioas.Areas(), "areas left");
        Expect.Sequence([Unlocked(0x11000, 0x11FFF)], _ioas.Accesses.Pins, "pins left");
    }

    [Fact]
    public void An_access_that_goes_takes_its_pins_and_leaves_those_of_others()
    {
        AddAccesses();
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        PinsPages(First, 1, 0x10000, Page);
        PinsPages(First, 2, 0x10000, 2 * Page);
        PinsPages(Second, 3, 0x10000, Page);
        Changes(Errno.None, new RemoveAccess(First));
        Expect.Equal(1L, _ioas.Accesses.PinCount, "pins left");
        Expect.Equal(1L, Table.PinnedAreaCount, "pins that the table counts");
        Changes(Errno.None, new RemoveAccess(Second));
        Expect.Equal((0, 0L, 0L), (_ioas.Accesses.Count, _ioas.Accesses.PinCount, Table.PinnedAreaCount), "accesses and pins");
        Table.Validate();
    }

    [Fact]
    public void A_pin_is_dropped_once_and_by_its_own_access()
    {
        AddAccesses();
        Ok(_ioas.MapAt(0x10000));
        PinsPages(First, 1, 0x10000, Page);
        Expect.Equal(Errno.ENOENT, _ioas.UnpinPages(Second, 1), "dropping another's pin");
        Expect.Equal(Errno.ENOENT, _ioas.UnpinPages(new ObjectId(99), 1), "dropping it for an access that isn't there");
        Ok(_ioas.UnpinPages(First, 1));
        Expect.Equal(Errno.ENOENT, _ioas.UnpinPages(First, 1), "dropping it again");
    }

    [Theory]
    [InlineData(Memory, 2 * Page, Errno.None)]
    [InlineData(Memory + Page, 2 * Page, Errno.EBADE)]
    [InlineData(Memory, Page, Errno.EFAULT)]
    [InlineData(Memory, 0, Errno.EFAULT)]
    public void Pages_that_are_not_the_expected_ones_are_not_pinned(ulong address, ulong readable, Errno errno)
    {
        AddAccesses();
        Ok(_ioas.MapAt(0x10000, 2 * Page));
        List<PagesSlice> slices = [];
        var request = new IoasAccessRequest(First, 0x10000, 2 * Page, IommuTestAccessFlags.None);
        Expect.Equal(errno, _ioas.PinPages(request, 1, new ExpectedMemory(address, readable), slices), "pinning and comparing");
        var pins = errno == Errno.None ? 1 : 0;
        Expect.Equal((pins, pins, pins), (slices.Count, (int)_ioas.Accesses.PinCount, (int)Table.PinnedAreaCount), "pieces and pins");
    }

    [Fact]
    public void A_program_that_knows_no_IOVA_names_an_area_by_its_number_and_an_offset()
    {
        AddAccesses();
        Ok(_ioas.MapAt(0x10000));
        Ok(_ioas.MapAt(0x20000, 2 * Page));
        PinsPages(First, 1, 1 | (Page << 32), Page, IommuTestAccessFlags.Syz);
        Expect.Sequence([Unlocked(0x21000, 0x21FFF)], _ioas.Accesses.Pins, "pins");
        Expect.Equal((0x10000UL, 0x20004UL, 0UL), (Table.IovaInArea(0, 0), Table.IovaInArea(1, 4), Table.IovaInArea(2, 4)), "IOVAs by number");
        Expect.Equal(0UL, Table.IovaInArea(uint.MaxValue, 4), "the IOVA of an area far behind the last");
    }

    private static PinnedRange Unlocked(ulong start, ulong last) => new(new IovaRange(start, last), IsLocked: false);

    private void AddAccesses() => Changes(Errno.None, new AddAccess(First, NeedsPinPages: true), new AddAccess(Second, NeedsPinPages: true));

    private void Changes(Errno errno, params IoasChange[] changes)
        => Expect.Equal(errno, _ioas.Change(changes, out _), string.Join(", ", (object[])changes));

    private void PinsPages(ObjectId access, uint pin, ulong iova, ulong length, IommuTestAccessFlags flags = IommuTestAccessFlags.Write)
        => Expect.Equal(Errno.None, _ioas.PinPages(new IoasAccessRequest(access, iova, length, flags), pin, default, []), $"pin {pin} at 0x{iova:X}");

    private void Pins(ulong iova, ulong length, params (ulong Iova, ulong Length)[] pieces)
    {
        List<PagesSlice> slices = [];
        Expect.Equal(Errno.None, Table.Pin(iova, length, write: true, locks: false, slices), $"pinning 0x{length:X} bytes at 0x{iova:X}");
        Expect.Sequence(pieces.Select(Slice), slices, $"pieces pinned at 0x{iova:X}");
        Table.Validate();
    }

    private void Resolves(ulong iova, ulong length, params (ulong Iova, ulong Length)[] pieces)
    {
        List<PagesSlice> slices = [];
        Expect.Equal(Errno.None, Table.Resolve(iova, length, write: true, slices), $"looking up 0x{length:X} bytes at 0x{iova:X}");
        Expect.Sequence(pieces.Select(Slice), slices, $"pieces found at 0x{iova:X}");
    }

    private PagesSlice Slice((ulong Iova, ulong Length) piece)
    {
        var area = Table.FirstArea(new IovaRange(piece.Iova, piece.Iova))!;
        return new PagesSlice(area.Pages, area.StartByte + (piece.Iova - area.Range.Start), piece.Length);
    }

    private void FailsToPin(Errno errno, ulong iova, ulong length, bool write = false)
    {
        var before = Table.Snapshot();
        List<PagesSlice> slices = [];
        Expect.Equal(errno, Table.Pin(iova, length, write, locks: false, slices), $"pinning 0x{length:X} bytes at 0x{iova:X}");
        Expect.Equal(0, slices.Count, "pieces of a failed pin");
        Expect.Equal(before, Table.Snapshot(), $"the table after {errno}");
    }

    private void FailsToResolve(Errno errno, ulong iova, ulong length, bool write, params (ulong Iova, ulong Length)[] before)
    {
        List<PagesSlice> slices = [];
        Expect.Equal(errno, Table.Resolve(iova, length, write, slices), $"looking up 0x{length:X} bytes at 0x{iova:X}");
        Expect.Sequence(before.Select(Slice), slices, $"pieces before the failure at 0x{iova:X}");
    }
}
