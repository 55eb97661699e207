using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.IoPagetable.IoasFixture;

namespace IommuFd.UnitTests.IoPagetable;

// Page tables that mirror a table: iopt_table_add_domain and iopt_table_remove_domain, and what changes while there is one.

public sealed class DomainTests
{
    private const ulong Start = 0x10000;
    private const ulong Last = 0x1FFFF;

    private static readonly MappedFile File = new("file 1");

    private readonly IoasModel _ioas = new();

    [Fact]
    public void What_lies_outside_the_aperture_is_reserved_until_the_domain_goes()
    {
        var domain = new TestDomain(Start, Last);
        Ok(_ioas.Table.AddDomain(domain));
        Expect.Sequence([new IovaRange(0, Start - 1), new IovaRange(Last + 1, ulong.MaxValue)], _ioas.Table.Reserved.Spans, "reserved spans");
        _ioas.Table.RemoveDomain(domain);
        Expect.Sequence([], _ioas.Table.Reserved.Spans, "reserved spans after the domain has gone");
        Expect.Equal(0, _ioas.Table.Domains.Count, "domains");
    }

    [Theory]
    [InlineData(0, ulong.MaxValue, 0)]
    [InlineData(0, Last, 1)]
    [InlineData(Start, ulong.MaxValue, 1)]
    [InlineData(Start, Last, 2)]
    public void An_aperture_that_ends_where_IOVAs_end_reserves_nothing_there(ulong start, ulong last, int reservations)
    {
        Ok(_ioas.Table.AddDomain(new TestDomain(start, last)));
        Expect.Equal(reservations, _ioas.Table.Reserved.Count, "reservations");
        Ok(_ioas.MapAt(start, Page));
        Ok(_ioas.MapAt(last - (Page - 1), Page));
        _ioas.Table.Validate();
    }

    [Theory]
    [InlineData(Start - Page, Page)]
    [InlineData(Last + 1, Page)]
    [InlineData(Start - Page, 2 * Page)]
    [InlineData(Last + 1 - Page, 2 * Page)]
    [InlineData(ulong.MaxValue - (Page - 1), Page)]
    public void A_domain_whose_aperture_leaves_an_area_out_is_EADDRINUSE(ulong iova, ulong length)
    {
        Ok(_ioas.MapAt(iova, length));
        FailsToAdd(Errno.EADDRINUSE, new TestDomain(Start, Last));
        Ok(_ioas.UnmapAt(iova, length, out _));
        Ok(_ioas.Table.AddDomain(new TestDomain(Start, Last)));
    }

    [Theory]
    [InlineData(0x1000, 0x2000)]
    [InlineData(Start - 1, Start)]
    [InlineData(Last, Last + 1)]
    [InlineData(Last + 1, Last + 2)]
    public void A_domain_whose_aperture_leaves_an_allowed_IOVA_out_is_EADDRINUSE(ulong start, ulong last)
    {
        Ok(_ioas.Allow((start, last)));
        FailsToAdd(Errno.EADDRINUSE, new TestDomain(Start, Last));
        Ok(_ioas.Allow());
        Ok(_ioas.Table.AddDomain(new TestDomain(Start, Last)));
    }

    [Fact]
    public void What_lies_outside_the_aperture_can_t_become_allowed()
    {
        var domain = new TestDomain(Start, Last);
        Ok(_ioas.Table.AddDomain(domain));
        Expect.Equal(Errno.EADDRINUSE, _ioas.Allow((Start - 1, Last)), "allowing an IOVA below the aperture");
        Expect.Equal(Errno.EADDRINUSE, _ioas.Allow((Start, Last + 1)), "allowing an IOVA above the aperture");
        Ok(_ioas.Allow((Start, Last)));
        _ioas.Table.RemoveDomain(domain);
        Ok(_ioas.Allow((Start - 1, Last + 1)));
    }

    [Theory]
    [InlineData(0, Page)]
    [InlineData(Start - Page, Page)]
    [InlineData(Start - Page, 2 * Page)]
    [InlineData(Last + 1, Page)]
    [InlineData(Last + 1 - Page, 2 * Page)]
    public void A_fixed_IOVA_outside_the_aperture_is_EINVAL_while_the_domain_is_there(ulong iova, ulong length)
    {
        var domain = new TestDomain(Start, Last);
        Ok(_ioas.Table.AddDomain(domain));
        Expect.Equal(Errno.EINVAL, _ioas.MapAt(iova, length), $"mapping at 0x{iova:X} with the domain");
        _ioas.Table.RemoveDomain(domain);
        Ok(_ioas.MapAt(iova, length));
    }

    [Fact]
    public void An_automatic_IOVA_is_chosen_inside_the_apertures_of_all_domains()
    {
        var (low, high) = (new TestDomain(0, Last), new TestDomain(Start, ulong.MaxValue));
        Ok(_ioas.Table.AddDomain(low));
        Ok(_ioas.Table.AddDomain(high));
        for (var expected = Start; expected < Last; expected += Page)
        {
            Ok(_ioas.MapAnywhere(Memory, Page, out var iova));
            Expect.Equal(expected, iova, "the chosen IOVA");
        }

        Expect.Equal(Errno.ENOSPC, _ioas.MapAnywhere(Memory, Page, out _), "choosing one where the apertures are full");
        _ioas.Table.RemoveDomain(low);
        Ok(_ioas.MapAnywhere(Memory, Page, out var above));
        Expect.Equal(Last + 1, above, "the IOVA chosen when the aperture's end has gone");
        _ioas.Table.RemoveDomain(high);
        Ok(_ioas.MapAnywhere(Memory, Page, out var below));
        Expect.Equal(Page, below, "the IOVA chosen when the aperture's start has gone");
    }

    [Fact]
    public void Automatic_IOVAs_next_to_the_end_of_all_IOVAs_avoid_what_is_reserved_and_the_last_page()
    {
        const ulong Top = 0xFFFF_FFFF_FFFF_0000;
        Ok(_ioas.Table.AddDomain(new TestDomain(Top, ulong.MaxValue)));
        Ok(_ioas.Reserve(Top + 0x2000, Top + 0x2FFF));
        Ok(_ioas.Reserve(Top + 0x4000, Top + 0xCFFF));
        ulong[] expected = [Top, Top + 0x1000, Top + 0x3000, Top + 0xD000, Top + 0xE000];
        foreach (var wanted in expected)
        {
            Ok(_ioas.MapAnywhere(Memory, Page, out var iova));
            Expect.Equal(wanted, iova, "the chosen IOVA");
        }

        Expect.Equal(Errno.ENOSPC, _ioas.MapAnywhere(Memory, Page, out _), "choosing the last page");
        Ok(_ioas.MapAt(Top + 0xF000));
        Expect.Equal(0UL, _ioas.Table.FreeBytes, "free bytes");
        _ioas.Table.Validate();
    }

    [Fact]
    public void Where_the_last_page_is_reserved_the_one_before_it_can_be_chosen()
    {
        const ulong Top = 0xFFFF_FFFF_FFFF_C000;
        Ok(_ioas.Table.AddDomain(new TestDomain(Top, ulong.MaxValue)));
        Ok(_ioas.Reserve(Top, Top + 0x1FFF));
        Ok(_ioas.Reserve(Top + 0x3000, ulong.MaxValue));
        Expect.Equal(Errno.ENOSPC, _ioas.MapAnywhere(Memory, 2 * Page, out _), "choosing room for two pages");
        Ok(_ioas.MapAnywhere(Memory, Page, out var iova));
        Expect.Equal(Top + 0x2000, iova, "the chosen IOVA");
    }

    [Theory]
    [InlineData(0x10400, 0x800, Memory)]
    [InlineData(0x10000, 0x400, Memory)]
    [InlineData(0x10000, 0x801, Memory)]
    [InlineData(0x10000, 0x800, Memory + 0x400)]
    public void An_area_that_is_not_aligned_to_the_domain_s_page_is_EADDRINUSE(ulong iova, ulong length, ulong address)
    {
        Ok(_ioas.MapAt(iova, length, address));
        FailsToAdd(Errno.EADDRINUSE, new TestDomain(pageSize: 2048));
        Ok(_ioas.UnmapAt(iova, length, out _));
        Ok(_ioas.Table.AddDomain(new TestDomain(pageSize: 2048)));
        Expect.Equal(Errno.EINVAL, _ioas.MapAt(iova, length, address), "mapping the same while the domain is there");
    }

    [Fact]
    public void Alignment_rises_to_the_largest_page_of_the_domains_and_falls_back()
    {
        var (small, page, half) = (new TestDomain(pageSize: 512), new TestDomain(pageSize: 4096), new TestDomain(pageSize: 2048));
        Ok(_ioas.MapAt(0x10000));
        Expect.Equal(1UL, _ioas.Table.IovaAlignment, "alignment without a domain");
        foreach (var (domain, alignment) in (ReadOnlySpan<(TestDomain, ulong)>)[(small, 512), (page, 4096), (half, 4096)])
        {
            Ok(_ioas.Table.AddDomain(domain));
            Expect.Equal(alignment, _ioas.Table.IovaAlignment, $"alignment after adding {domain}");
        }

        foreach (var (domain, alignment) in (ReadOnlySpan<(TestDomain, ulong)>)[(page, 2048), (half, 512), (small, 1)])
        {
            _ioas.Table.RemoveDomain(domain);
            Expect.Equal(alignment, _ioas.Table.IovaAlignment, $"alignment after removing {domain}");
        }
    }

    [Fact]
    public void Areas_aligned_to_a_small_page_keep_a_domain_of_larger_pages_out()
    {
        Ok(_ioas.Table.AddDomain(new TestDomain(pageSize: 2048)));
        Ok(_ioas.MapAt(0x10800, 0x800, Memory + 0x800));
        FailsToAdd(Errno.EADDRINUSE, new TestDomain());
        Ok(_ioas.Table.AddDomain(new TestDomain(pageSize: 1024)));
    }

    [Theory]
    [InlineData(8192)]
    [InlineData(2 << 20)]
    public void A_domain_of_pages_larger_than_the_machine_s_is_EINVAL_whatever_is_mapped(ulong pageSize)
    {
        FailsToAdd(Errno.EINVAL, new TestDomain(pageSize: pageSize));
        Ok(_ioas.MapAt(0x123, 0x456, Memory + 0x789));
        FailsToAdd(Errno.EINVAL, new TestDomain(Start, Last, pageSize));
    }

    [Fact]
    public void The_same_domain_twice_is_EEXIST()
    {
        var domain = new TestDomain(Start, Last);
        Ok(_ioas.Table.AddDomain(domain));
        FailsToAdd(Errno.EEXIST, domain);
        Ok(_ioas.Table.AddDomain(new TestDomain(Start, Last)));
        _ioas.Table.RemoveDomain(domain);
        Ok(_ioas.Table.AddDomain(domain));
    }

    [Theory]
    [InlineData(false, Errno.EFAULT)]
    [InlineData(true, Errno.EINVAL)]
    public void What_can_t_be_pinned_keeps_a_domain_out_and_can_t_be_mapped_where_one_is(bool isFile, Errno errno)
    {
        Errno Map(ulong pinnable) => isFile ? MapFile(0x10000, pinnable) : MapMemory(0x10000, pinnable);
        Ok(Map(Page));
        FailsToAdd(errno, new TestDomain(Start, Last));
        Ok(_ioas.UnmapAt(0x10000, 2 * Page, out _));
        Ok(_ioas.Table.AddDomain(new TestDomain(Start, Last)));
        Refuses(errno, () => Map(Page));
        Ok(Map(2 * Page));
    }

    [Fact]
    public void Of_several_areas_that_can_t_be_pinned_the_lowest_gives_the_errno()
    {
        Ok(MapMemory(0x14000, pinnable: 0));
        Ok(MapFile(0x12000, pinnable: 0));
        Ok(_ioas.MapAt(0x10000));
        FailsToAdd(Errno.EINVAL, new TestDomain(Start, Last));
        Ok(_ioas.UnmapAt(0x12000, 2 * Page, out _));
        FailsToAdd(Errno.EFAULT, new TestDomain(Start, Last));
    }

    [Fact]
    public void Alignment_comes_before_the_aperture_and_the_aperture_before_pinning()
    {
        Ok(MapMemory(Last + 1, pinnable: 0));
        FailsToAdd(Errno.EADDRINUSE, new TestDomain(Start, Last));
        Ok(MapMemory(0x10000, pinnable: 0));
        FailsToAdd(Errno.EADDRINUSE, new TestDomain(Start, Last));
        Ok(_ioas.UnmapAt(Last + 1, 2 * Page, out _));
        FailsToAdd(Errno.EFAULT, new TestDomain(Start, Last));
        Ok(_ioas.MapAt(0x14001, 1));
        FailsToAdd(Errno.EADDRINUSE, new TestDomain(Start, Last));
    }

    [Fact]
    public void A_copy_of_memory_that_can_t_be_pinned_fails_as_a_whole_where_a_domain_is()
    {
        var source = new IoasModel();
        ulong iova = 0x2000;
        Ok(source.MapAt(0x1000));
        Ok(source.Map(Fixed, Memory, Page, 0, 0, ref iova));
        Ok(_ioas.Table.AddDomain(new TestDomain(Start, Last)));
        Refuses(Errno.EFAULT, () => source.Copy(0x1000, 0x2000, _ioas, 0x10000));
        Ok(source.Copy(0x1000, 0x1000, _ioas, 0x10000));
    }

    [Fact]
    public void Large_pages_can_t_be_disabled_while_a_domain_has_areas()
    {
        var domain = new TestDomain(pageSize: 2048);
        Ok(_ioas.Table.AddDomain(domain));
        Ok(_ioas.MapAt(0x10000));
        Refuses(Errno.EINVAL, _ioas.Table.DisableLargePages);
        _ioas.Table.RemoveDomain(domain);
        Ok(_ioas.Table.DisableLargePages());
        Ok(_ioas.Table.AddDomain(domain));
        Ok(_ioas.Table.DisableLargePages());
        Expect.Equal(Page, _ioas.Table.IovaAlignment, "alignment without large pages");
        _ioas.Table.EnableLargePages();
        Expect.Equal(2048UL, _ioas.Table.IovaAlignment, "alignment with large pages again");
        Refuses(Errno.EINVAL, _ioas.Table.DisableLargePages);
    }

    [Fact]
    public void Large_pages_can_be_disabled_where_a_domain_has_no_area_yet()
    {
        Ok(_ioas.Table.AddDomain(new TestDomain(pageSize: 2048)));
        Ok(_ioas.Table.DisableLargePages());
        Expect.Equal(Page, _ioas.Table.IovaAlignment, "alignment");
    }

    [Fact]
    public void An_area_that_a_domain_may_have_mapped_with_large_pages_can_t_be_split()
    {
        var domain = new TestDomain();
        Ok(_ioas.MapAt(0x10000, 0x4000));
        Ok(_ioas.Table.AddDomain(domain));
        Refuses(Errno.EINVAL, () => _ioas.Table.Cut([0x11FFF]));
        Ok(_ioas.Table.Cut([0x13FFF, 0x9000]));
        Expect.Equal("10000-13fff", _ioas.Areas(), "areas after cuts where nothing is split");
        _ioas.Table.RemoveDomain(domain);
        Ok(_ioas.Table.Cut([0x11FFF]));
        Expect.Equal("10000-11fff 12000-13fff", _ioas.Areas(), "areas after the cut");
    }

    [Fact]
    public void Without_large_pages_a_split_keeps_what_is_dirty_on_both_sides_of_the_cut()
    {
        var domain = new TestDomain();
        Ok(_ioas.Table.DisableLargePages());
        Ok(_ioas.Table.AddDomain(domain));
        Ok(_ioas.MapAt(0x10000, 0x4000));
        domain.MarkDirty(new IovaRange(0x11000, 0x11000));
        domain.MarkDirty(new IovaRange(0x12000, 0x12000));
        Refuses(Errno.EINVAL, () => _ioas.Table.Cut([0x117FF]));
        Ok(_ioas.Table.Cut([0x11FFF]));
        Expect.Equal("10000-11fff 12000-13fff", _ioas.Areas(), "areas after the cut");
        Expect.Sequence([new IovaRange(0x11000, 0x12FFF)], domain.DirtyRuns(IovaRange.All), "dirty pages after the cut");
        Ok(_ioas.UnmapAt(0x10000, 0x2000, out _));
        Expect.Sequence([new IovaRange(0x12000, 0x12FFF)], domain.DirtyRuns(IovaRange.All), "dirty pages after unmapping below the cut");
    }

    [Fact]
    public void What_is_split_and_remapped_around_a_cut_leads_to_the_new_memory_below_it_and_the_old_above()
    {
        const ulong Other = 0x7100_0000_0000;
        var domain = new TestDomain();
        Ok(_ioas.Table.DisableLargePages());
        Ok(_ioas.Table.AddDomain(domain));
        Ok(_ioas.MapAt(0x10000, 0x4000));
        Ok(_ioas.Table.Cut([0x11FFF]));
        Ok(_ioas.UnmapAt(0x10000, 0x2000, out var unmapped));
        Expect.Equal(0x2000UL, unmapped, "bytes unmapped below the cut");
        Refuses(Errno.ENOENT, () => _ioas.UnmapAt(0x10000, 0x3000, out _));
        Ok(_ioas.MapAt(0x10000, 0x2000, Other));

        List<PagesSlice> slices = [];
        Ok(_ioas.GetPages(0x11000, 0x2000, slices));
        Expect.Sequence([Other + 0x1000, IoasFixture.Memory + 0x2000], slices.Select(slice => slice.Address), "the memory on both sides of the cut");
        Refuses(Errno.EEXIST, () => _ioas.MapAt(0x11000, 0x2000));
        Ok(_ioas.UnmapAt(0x10000, 0x4000, out unmapped));
        Expect.Equal(0x4000UL, unmapped, "bytes unmapped across the cut");
        _ioas.Table.Validate();
    }

    [Fact]
    public void Unmapping_forgets_what_is_dirty_there_in_every_domain()
    {
        TestDomain[] domains = [new(), new(pageSize: 2048)];
        Ok(_ioas.MapAt(0x10000, 0x2000));
        Ok(_ioas.MapAt(0x12000));
        foreach (var domain in domains)
        {
            Ok(_ioas.Table.AddDomain(domain));
            domain.MarkDirty(new IovaRange(0x11800, 0x11800));
            domain.MarkDirty(new IovaRange(0x12000, 0x12000));
        }

        Ok(_ioas.UnmapAt(0x10000, 0x2000, out _));
        Expect.Sequence([1, 1], domains.Select(domain => domain.DirtyCount), "dirty pages left");
        Ok(_ioas.Table.UnmapAll(out _));
        Expect.Sequence([0, 0], domains.Select(domain => domain.DirtyCount), "dirty pages left after unmapping everything");
    }

    private Errno MapMemory(ulong iova, ulong pinnable) => _ioas.Map(Fixed, Memory, 2 * Page, pinnable, pinnable, ref iova);

    private Errno MapFile(ulong iova, ulong pinnable) => _ioas.MapFile(Fixed, File, 0, 2 * Page, pinnable, ref iova);

    private void FailsToAdd(Errno errno, TestDomain domain) => Refuses(errno, () => _ioas.Table.AddDomain(domain));

    private void Refuses(Errno errno, Func<Errno> change)
    {
        var before = _ioas.Snapshot();
        Expect.Equal(errno, change(), "a change that must fail");
        Expect.Equal(before, _ioas.Snapshot(), $"the table after {errno}");
    }
}
