using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>Mappings through the SDK, and what it says when they fail.</summary>
public sealed class MappingTests : IAsyncLifetime
{
    private IHost _host = null!;
    private IommuContext _context = null!;
    private ObjectId _ioas;

    public async Task InitializeAsync()
    {
        _host = await SiloHost.StartInProcessAsync();
        _context = await new IommufdClient(_host.Services.GetRequiredService<IGrainFactory>()).OpenAsync();
        _ioas = await _context.AllocateIoasAsync();
    }

    public async Task DisposeAsync()
    {
        await _context.DisposeAsync();
        await _host.StopAsync();
        _host.Dispose();
    }

    [Fact]
    public async Task Memory_is_mapped_where_it_should_be_and_unmapped_as_a_whole()
    {
        var iova = await _context.MapAsync(_ioas, new byte[8192], new Iova(0x10000));
        Assert.Equal(new Iova(0x10000), iova);
        var chosen = await _context.MapAsync(_ioas, new byte[4096]);
        Assert.NotEqual(iova, chosen);

        Assert.Equal(8192UL, await _context.UnmapAsync(_ioas, new IovaRange(0x10000, 0x11FFF)));
        Assert.Equal(4096UL, await _context.UnmapAsync(_ioas, IovaRange.All));
    }

    [Fact]
    public async Task Memory_stays_where_it_is_while_it_is_mapped_or_copied()
    {
        var memory = new byte[4096];
        var reference = new WeakReference(memory);
        var other = await _context.AllocateIoasAsync();
        await _context.MapAsync(_ioas, memory, new Iova(0x10000));
        await _context.CopyAsync(_ioas, new IovaRange(0x10000, 0x10FFF), other, new Iova(0x20000));
        var address = await AddressAsync(other);
        memory = null;

        await _context.DestroyAsync(_ioas);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();

        Assert.True(reference.IsAlive, "memory that a copy maps is pinned, also when its first IOAS is gone");
        Assert.Equal(address, await AddressAsync(other));
    }

    [Fact]
    public async Task A_mapping_over_an_area_is_EEXIST_and_names_it()
    {
        await _context.MapAsync(_ioas, new byte[8192], new Iova(0x10000));

        var refused = await Assert.ThrowsAsync<IommufdException>(() => _context.MapAsync(_ioas, new byte[4096], new Iova(0x11000)).AsTask());

        Assert.Equal(Errno.EEXIST, refused.Errno);
        Assert.Equal(new IovaRange(0x10000, 0x11FFF), refused.Diagnostic!.Overlap);
    }

    [Fact]
    public async Task A_mapping_that_finds_no_hole_is_ENOSPC_and_says_how_large_the_largest_is()
    {
        await _context.AllowIovasAsync(_ioas, [new IovaRange(0x100000, 0x102FFF)]);

        var refused = await Assert.ThrowsAsync<IommufdException>(() => _context.MapAsync(_ioas, new byte[0x4000]).AsTask());

        Assert.Equal(Errno.ENOSPC, refused.Errno);
        Assert.Equal((0x4000UL, 0x3000UL), (refused.Diagnostic!.Value, refused.Diagnostic.Limit));
    }

    [Fact]
    public async Task An_unmap_that_meets_no_whole_area_is_ENOENT_and_names_the_nearest()
    {
        await _context.MapAsync(_ioas, new byte[8192], new Iova(0x10000));

        var part = await Assert.ThrowsAsync<IommufdException>(() => _context.UnmapAsync(_ioas, new IovaRange(0x10000, 0x10FFF)).AsTask());
        var beside = await Assert.ThrowsAsync<IommufdException>(() => _context.UnmapAsync(_ioas, new IovaRange(0x20000, 0x20FFF)).AsTask());

        Assert.All([part, beside], refused => Assert.Equal(
            (Errno.ENOENT, (IovaRange?)new IovaRange(0x10000, 0x11FFF)), (refused.Errno, refused.Diagnostic!.Overlap)));
    }

    [Fact]
    public async Task What_is_mapped_for_reading_cannot_be_copied_for_writing()
    {
        await _context.MapAsync(_ioas, new byte[4096], new Iova(0x10000), DmaAccess.Read);

        var refused = await Assert.ThrowsAsync<IommufdException>(
            () => _context.CopyAsync(_ioas, new IovaRange(0x10000, 0x10FFF), _ioas, new Iova(0x20000)).AsTask());

        Assert.Equal((Errno.EPERM, DiagnosticReason.PagesNotWritable), (refused.Errno, refused.Diagnostic!.Reason));
    }

    [Fact]
    public async Task A_file_is_mapped_and_can_change_its_process_and_memory_cannot()
    {
        var file = new UserFile("memfd:guest-ram", IsMemfd: true, 1 << 20);
        var iova = await _context.MapFileAsync(_ioas, file, offsetBytes: 0x1000, lengthBytes: 0x2000);
        await _context.ChangeProcessAsync();

        var state = await StateAsync(_ioas);
        var area = Assert.Single(state.Areas);
        Assert.Equal((iova.Value, 0x1000UL, "memfd:guest-ram"), (area.Range.Start, area.Address, area.File!.Identity));

        await _context.MapAsync(_ioas, new byte[4096]);
        var refused = await Assert.ThrowsAsync<IommufdException>(() => _context.ChangeProcessAsync().AsTask());
        Assert.Equal((Errno.EINVAL, DiagnosticReason.MapsProcessMemory), (refused.Errno, refused.Diagnostic!.Reason));
    }

    [Fact]
    public async Task The_ranges_of_an_IOAS_are_read_whole_however_many_there_are()
    {
        const int Reserved = 40;
        for (var i = 0UL; i < Reserved; i++)
        {
            var add = new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.AddReserved, Id = _ioas.Value };
            add.Fields[0] = 0x100000 + (i * 0x2000);
            add.Fields[1] = 0x1000;
            (await _context.IoctlAsync(IommuCommand.TestCmd, add)).ThrowIfFailed();
        }

        var (ranges, alignment) = await _context.GetIovaRangesAsync(_ioas);

        Assert.Equal((Reserved + 1, 1UL), (ranges.Count, alignment));
        Assert.Equal(new IovaRange(0, 0xFFFFF), ranges[0]);
        Assert.Equal(ulong.MaxValue, ranges[^1].Last);
        Assert.Equal(Reserved, (await StateAsync(_ioas)).Reserved.Length);
    }

    [Fact]
    public async Task An_inspection_shows_areas_page_by_page()
    {
        for (var i = 1UL; i <= 10; i++)
        {
            await _context.MapAsync(_ioas, new byte[4096], new Iova(i * 0x10000));
        }

        var first = await StateAsync(_ioas, limit: 6);
        var second = await StateAsync(_ioas, from: first.Areas[^1].Range.Last + 1, limit: 6);

        Assert.True(first.HasMoreAreas, "there are areas behind the first page");
        Assert.False(second.HasMoreAreas, "the second page is the last");
        Assert.Equal(Enumerable.Range(1, 10).Select(i => (ulong)i * 0x10000), first.Areas.Concat(second.Areas).Select(area => area.Range.Start));
        Assert.Equal(10, second.AreaCount);
        Assert.Equal(ulong.MaxValue - (10 * 4096) + 1, second.FreeBytes);
    }

    private async Task<ulong> AddressAsync(ObjectId ioas) => Assert.Single((await StateAsync(ioas)).Areas).Address;

    private async Task<IoasState> StateAsync(ObjectId ioas, ulong from = 0, int limit = 100)
        => Assert.IsType<IoasState>((await _context.InspectObjectAsync(ioas, new StatePage(from, limit)))!.State);
}
