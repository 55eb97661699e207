using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.IoPagetable;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.Objects.Ioas;

// IOMMU_HWPT_SET_DIRTY_TRACKING, IOMMU_HWPT_GET_DIRTY_BITMAP, and how a test's device writes pages (IOMMU_TEST_OP_DIRTY).

public sealed class IoasDirtyTests
{
    private const ulong Start = 0x100_0000;
    private const ulong Dirty = 2048;

    // IOVAs and addresses that differ by half a page, so that each half has an entry of its own.
    private const ulong HalfPage = Memory + Dirty;

    private static readonly DeviceDescription Device = new() { Name = "device" };
    private static readonly ObjectId Tracking = new(10);
    private static readonly ObjectId Plain = new(11);

    private readonly IoasModel _ioas = new();

    public IoasDirtyTests()
    {
        IoasChange[] changes =
        [
            new AllocateDomain(Tracking, Device, IommuHwptAllocFlags.DirtyTracking, null), new AddDomain(Tracking),
            new AllocateDomain(Plain, Device, IommuHwptAllocFlags.None, null), new AddDomain(Plain),
        ];
        Ok(_ioas.Change(changes, out _));
        Ok(_ioas.MapAt(Start, 0x10_0000, HalfPage));
    }

    [Fact]
    public void Only_a_page_table_made_to_track_can_track()
    {
        Expect.Equal(Errno.EOPNOTSUPP, _ioas.SetDirtyTracking(Plain, enable: true), "enabling for one that wasn't");
        Expect.Equal(Errno.EOPNOTSUPP, _ioas.SetDirtyTracking(Plain, enable: false), "disabling for one that wasn't");
        Ok(_ioas.SetDirtyTracking(Tracking, enable: true));
        Expect.That(_ioas.Domains[Tracking].TracksDirty && !_ioas.Domains[Plain].TracksDirty, "The wrong page table tracks.");
        Ok(_ioas.SetDirtyTracking(Tracking, enable: false));
        Expect.That(!_ioas.Domains[Tracking].TracksDirty, "The page table still tracks.");
    }

    [Fact]
    public void Enabling_starts_with_every_page_clean()
    {
        Track();
        Marks(Start, 0b1011);
        Expect.Sequence([0, 1, 3], Read(Start, 0x4000, clear: false), "dirty pages");
        Ok(_ioas.SetDirtyTracking(Tracking, enable: false));
        Ok(_ioas.SetDirtyTracking(Tracking, enable: true));
        Expect.Sequence([], Read(Start, 0x4000, clear: false), "dirty pages after enabling again");
    }

    [Fact]
    public void Reading_cleans_what_was_read_unless_told_not_to()
    {
        Track();
        Marks(Start, 0b1111_0001);
        Expect.Sequence([0, 4, 5, 6, 7], Read(Start, 0x4000, clear: false), "dirty pages");
        Expect.Sequence([0, 4, 5], Read(Start, 0x3000, clear: true), "dirty pages of a part");
        Expect.Sequence([6, 7], Read(Start, 0x4000, clear: true), "dirty pages left");
        Expect.Sequence([], Read(Start, 0x4000, clear: true), "dirty pages after reading all");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(65)]
    [InlineData(100)]
    public void A_range_of_any_number_of_pages_is_read_without_those_beside_it(int pages)
    {
        Track();
        Ok(_ioas.MarkDirty(new DirtyRange(Tracking, Start, 200 * Dirty, Dirty), [.. Enumerable.Repeat((byte)0xFF, 25)], out _));
        Expect.Sequence(Enumerable.Range(0, pages), Read(Start + (3 * Dirty), (ulong)pages * Dirty, clear: true), "dirty pages of the range");
        Expect.Equal(200L - pages, _ioas.Domains[Tracking].DirtyCount, "dirty pages left");
        Expect.Sequence([0, 1, 2, .. Enumerable.Range(pages + 3, 197 - pages)], Read(Start, 200 * Dirty, clear: false), "dirty pages beside it");
    }

    [Theory]
    [InlineData(4096, new[] { 0, 2 })]
    [InlineData(2048, new[] { 1, 4 })]
    [InlineData(1024, new[] { 2, 3, 8, 9 })]
    public void A_bit_of_the_bitmap_stands_for_any_size_of_page(ulong pageSize, int[] expected)
    {
        Track();
        Marks(Start, 0b1_0010);
        Expect.Sequence(expected, Read(Start, 0x4000, clear: false, pageSize), $"dirty pages of {pageSize}");
    }

    [Fact]
    public void What_is_not_mapped_is_not_dirty_and_no_failure()
    {
        Track();
        Marks(Start, 0b1);
        Expect.Sequence([], Read(0x4000_0000, 0x10000, clear: true), "dirty pages where nothing is mapped");
        Expect.Sequence([], Read(0, 0x10000, clear: true), "dirty pages outside the aperture");
        Expect.Sequence([2], Read(Start - 0x1000, 0x4000, clear: false), "dirty pages of a range that is half mapped");
        List<BitmapPiece> pieces = [];
        Expect.Equal(Errno.None, _ioas.ReadDirty(new DirtyRange(Tracking, 0xFFFF_FFFF_FFFF_F000, Page, Page), clear: true, pieces), "reading the last page");
        Expect.Equal(0, pieces.Count, "pieces of the last page");
    }

    [Fact]
    public void Unmapping_forgets_what_was_dirty_there()
    {
        Track();
        Ok(_ioas.MapAt(0x200_0000, address: HalfPage));
        Marks(Start, 0b11);
        Marks(0x200_0000, 0b10);
        Ok(_ioas.UnmapAt(Start, 0x10_0000, out _));
        Ok(_ioas.MapAt(Start, 0x10_0000, HalfPage));
        Expect.Sequence([], Read(Start, 0x4000, clear: false), "dirty pages after mapping again");
        Expect.Sequence([1], Read(0x200_0000, 0x1000, clear: false), "dirty pages of another area");
    }

    [Theory]
    [InlineData(Start, 0, Dirty, Errno.EOVERFLOW)]
    [InlineData(Start, ulong.MaxValue, 0, Errno.EOVERFLOW)]
    [InlineData(0xFFFF_FFFF_FFFF_F001, Page, 3, Errno.EOVERFLOW)]
    [InlineData(Start, Page, 0, Errno.EINVAL)]
    [InlineData(Start + 0x400, 0x800, 1024, Errno.EINVAL)]
    [InlineData(Start, 0x400, 1024, Errno.EINVAL)]
    [InlineData(Start + Dirty, 0x1000, Page, Errno.EINVAL)]
    [InlineData(Start, 0x800, Page, Errno.EINVAL)]
    [InlineData(Start, Page, 1UL << 40, Errno.EINVAL)]
    public void The_range_is_checked_before_whether_the_page_table_can_track(ulong iova, ulong length, ulong pageSize, Errno errno)
    {
        Track();
        Marks(Start, 0b11);
        foreach (var hwpt in (ReadOnlySpan<ObjectId>)[Tracking, Plain])
        {
            List<BitmapPiece> pieces = [];
            Expect.Equal(errno, _ioas.ReadDirty(new DirtyRange(hwpt, iova, length, pageSize), clear: true, pieces), $"reading {hwpt}");
            Expect.Equal(0, pieces.Count, "pieces");
        }

        Expect.Sequence([0, 1], Read(Start, Page, clear: false), "dirty pages after the failures");
    }

    [Fact]
    public void A_good_range_of_a_page_table_that_can_t_track_is_EOPNOTSUPP()
        => Expect.Equal(Errno.EOPNOTSUPP, _ioas.ReadDirty(new DirtyRange(Plain, Start, Page, Page), clear: true, []), "reading");

    [Fact]
    public void A_page_table_that_does_not_track_yet_is_read_as_clean()
        => Expect.Sequence([], Read(Start, Page, clear: true), "dirty pages");

    [Fact]
    public void A_bitmap_too_large_to_travel_is_ENOMEM_and_cleans_nothing()
    {
        Track();
        Ok(_ioas.MapAt(0x200_0000, 0x200_0000, HalfPage));
        var pages = 0x200_0000UL / Dirty;
        Ok(_ioas.MarkDirty(new DirtyRange(Tracking, 0x200_0000, 0x200_0000, Dirty), [.. Enumerable.Repeat((byte)0xFF, (int)pages / 8)], out _));
        List<BitmapPiece> pieces = [];
        Expect.Equal(Errno.ENOMEM, _ioas.ReadDirty(new DirtyRange(Tracking, 0x200_0000, 0x200_0000, 1), clear: true, pieces), "reading by bytes");
        Expect.Equal((0, (long)pages), (pieces.Count, _ioas.Domains[Tracking].DirtyCount), "pieces and dirty pages");
    }

    [Fact]
    public void Marking_counts_all_bits_and_dirties_what_is_mapped()
    {
        Track();
        Ok(_ioas.MarkDirty(new DirtyRange(Tracking, Start - 0x1000, 0x2000, Dirty), [0b1111_0111], out var count));
        Expect.Equal(3UL, count, "bits that were set, of the four that count");
        Expect.Sequence([0], Read(Start, 0x1000, clear: false), "dirty pages");
        Expect.Equal(1L, _ioas.Domains[Tracking].DirtyCount, "dirty pages of all IOVAs");
        Ok(_ioas.MarkDirty(new DirtyRange(Tracking, Start, 0x1000, Dirty), [0b11], out count));
        Expect.Equal((2UL, 2L), (count, _ioas.Domains[Tracking].DirtyCount), "bits counted and dirty pages when marked again");
    }

    [Fact]
    public void Marking_where_nothing_tracks_is_EINVAL_before_a_bitmap_that_is_not_there_is_EFAULT()
    {
        Expect.Equal(Errno.EINVAL, _ioas.MarkDirty(new DirtyRange(Plain, Start, 9 * Dirty, Dirty), [1], out _), "marking where nothing can track");
        Expect.Equal(Errno.EINVAL, _ioas.MarkDirty(new DirtyRange(Tracking, Start, 9 * Dirty, Dirty), [1], out _), "marking where nothing tracks");
        Track();
        Expect.Equal(Errno.EFAULT, _ioas.MarkDirty(new DirtyRange(Tracking, Start, 9 * Dirty, Dirty), [1], out var count), "marking nine pages by eight bits");
        Expect.Equal((0UL, 0L), (count, _ioas.Domains[Tracking].DirtyCount), "bits counted and dirty pages");
        Ok(_ioas.MarkDirty(new DirtyRange(Tracking, Start, 9 * Dirty, Dirty), [1, 1], out count));
        Expect.Equal(2UL, count, "bits counted");
    }

    [Theory]
    [InlineData(ulong.MaxValue, 1)]
    [InlineData(ulong.MaxValue - 1, 2)]
    public void Marking_more_pages_than_any_bitmap_has_bits_is_EFAULT(ulong length, ulong pageSize)
    {
        Track();
        Expect.Equal(Errno.EFAULT, _ioas.MarkDirty(new DirtyRange(Tracking, 0, length, pageSize), [0xFF], out _), $"marking pages of {pageSize}");
        Expect.Equal(0L, _ioas.Domains[Tracking].DirtyCount, "dirty pages");
    }

    [Theory]
    [InlineData(Start, 0x1000, HalfPage, Errno.None)]
    [InlineData(Start, 0, HalfPage, Errno.None)]
    [InlineData(Start + 0x400, 0x800, HalfPage + 0x400, Errno.EINVAL)]
    [InlineData(Start, 0x400, HalfPage, Errno.EINVAL)]
    [InlineData(Start, 0x800, HalfPage + 0x400, Errno.EINVAL)]
    [InlineData(Start, 0x1000, 0xFFFF_FFFF_FFFF_F000, Errno.EINVAL)]
    [InlineData(Start, 0x1000, HalfPage + 0x800, Errno.EINVAL)]
    public void Checking_a_map_takes_pages_of_the_IOMMU(ulong iova, ulong length, ulong address, Errno errno)
        => Expect.Equal(errno, _ioas.CheckMap(Plain, iova, length, new ExpectedMemory(address, 0x1000)), $"checking at 0x{iova:X}");

    // The area is from 0x200_0000 on, or from half a page later; memory is as far from a page as said.
    [Theory]
    [InlineData(0, 0, 0b0000_0001, new[] { 0, 1 })]
    [InlineData(0, 0, 0b0000_0010, new[] { 0, 1 })]
    [InlineData(0, 0, 0b0001_1000, new[] { 2, 3, 4, 5 })]
    [InlineData(0, Dirty, 0b0001_1000, new[] { 3, 4 })]
    [InlineData(Dirty, Dirty, 0b0000_0010, new[] { 1 })]
    [InlineData(Dirty, Dirty, 0b0000_0100, new[] { 2, 3 })]
    [InlineData(Dirty, 0, 0b0000_0110, new[] { 1, 2 })]
    public void Halves_of_a_page_share_a_dirty_bit_where_both_are_mapped_and_aligned(ulong offset, ulong shift, byte bits, int[] expected)
    {
        Track();
        Ok(_ioas.MapAt(0x200_0000 + offset, 0x1_0000, Memory + shift));
        Marks(0x200_0000, bits);
        Expect.Sequence(expected, Read(0x200_0000, 0x4000, clear: false), "dirty half pages");
        Expect.Sequence(expected.Where(half => half < 3), Read(0x200_0000, 3 * Dirty, clear: true), "those of a range that ends within a page");
        Expect.Sequence(expected.Where(half => half > 3 || (half == 3 && !expected.Contains(2))), Read(0x200_0000, 0x4000, clear: false), "those left: none of an entry that was read in part");
    }

    [Theory]
    [InlineData(0, 0x10_0000, 0x100)]
    [InlineData(0, 0xF_F000, 1)]
    [InlineData(0x1000, 0x10_0000, 1)]
    public void A_page_table_for_huge_pages_has_one_dirty_bit_for_each(ulong shift, ulong length, int pages)
    {
        const ulong Huge = 0x10_0000;
        var data = new HwptUserData(IommuHwptDataType.Selftest, 8, [0, 0, 0, 0, 1, 0, 0, 0]);
        var ioas = new IoasModel();
        Ok(ioas.Change([new AllocateDomain(Tracking, Device, IommuHwptAllocFlags.DirtyTracking, data), new AddDomain(Tracking)], out _));
        Ok(ioas.SetDirtyTracking(Tracking, enable: true));
        Ok(ioas.MapAt(Huge, length, 0x7F00_0000_0000UL + shift));
        Ok(ioas.MarkDirty(new DirtyRange(Tracking, Huge, Page, Page), [1], out _));
        Expect.Equal((long)pages, ioas.Domains[Tracking].DirtyCount, $"dirty pages of {length} bytes");
    }

    private void Track() => Ok(_ioas.SetDirtyTracking(Tracking, enable: true));

    private void Marks(ulong iova, byte bits) => Ok(_ioas.MarkDirty(new DirtyRange(Tracking, iova, 8 * Dirty, Dirty), [bits], out _));

    private List<int> Read(ulong iova, ulong length, bool clear, ulong pageSize = Dirty)
    {
        List<BitmapPiece> pieces = [];
        Expect.Equal(Errno.None, _ioas.ReadDirty(new DirtyRange(Tracking, iova, length, pageSize), clear, pieces), $"reading at 0x{iova:X}");
        return [.. pieces.SelectMany(piece => Enumerable.Range(0, piece.Bits.Length * 8)
            .Where(bit => (piece.Bits[bit / 8] & (1 << (bit % 8))) != 0)
            .Select(bit => ((int)piece.Offset * 8) + bit))];
    }
}
