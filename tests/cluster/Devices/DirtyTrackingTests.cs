using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Devices;

/// <summary>Which pages devices have written.</summary>
[Collection(DeviceCluster.Name)]
public sealed class DirtyTrackingTests(DeviceCluster cluster, ITestOutputHelper output) : DeviceContext(cluster)
{
    private const ulong Bitmap = 0x5000_0000;
    private const ulong IommuPage = 2048;
    private static readonly IovaRange Mapped = Range(Base, 64 * Page);

    [Fact]
    public async Task Pages_that_were_written_are_dirty_until_they_are_read_and_cleared()
    {
        var hwpt = await TrackedAsync();
        Assert.Equal(5UL, await WriteAsync(hwpt, Base, 0, 1, 9, 126, 127));

        foreach (var clear in (bool[])[false, true])
        {
            var bitmap = await Context.GetDirtyBitmapAsync(hwpt, Mapped, IommuPage, clear);
            Assert.Equal([Range(Base, 2 * IommuPage), Range(Base + (9 * IommuPage), IommuPage), Range(Base + (126 * IommuPage), 2 * IommuPage)], bitmap.DirtyRanges);
            Assert.Equal(5UL, bitmap.DirtyPages);
        }

        Assert.Empty((await Context.GetDirtyBitmapAsync(hwpt, Mapped, IommuPage)).DirtyRanges);
        Assert.Equal(0, (await StateAsync<HwptState>(hwpt)).DirtyPages);
    }

    [Fact]
    public async Task Larger_pages_are_dirty_where_a_part_of_them_is()
    {
        var hwpt = await TrackedAsync();
        await WriteAsync(hwpt, Base, 3, 4, 8);
        var bitmap = await Context.GetDirtyBitmapAsync(hwpt, Mapped, Page, clear: false);
        Assert.Equal([Range(Base + Page, 2 * Page), Range(Base + (4 * Page), Page)], bitmap.DirtyRanges);
        Assert.Equal(3UL, bitmap.DirtyPages);
        Assert.True(bitmap.IsDirty(new Iova(Base + Page)), "the page of which only the second half was written");
    }

    [Fact]
    public async Task Only_what_was_asked_for_is_read_and_cleared()
    {
        var hwpt = await TrackedAsync();
        await WriteAsync(hwpt, Base, 0, 63, 64, 127);
        Assert.Equal([Range(Base, IommuPage), Range(Base + (63 * IommuPage), IommuPage)], (await Context.GetDirtyBitmapAsync(hwpt, Range(Base, 32 * Page), IommuPage)).DirtyRanges);
        Assert.Equal(
            [Range(Base + (64 * IommuPage), IommuPage), Range(Base + (127 * IommuPage), IommuPage)],
            (await Context.GetDirtyBitmapAsync(hwpt, Mapped, IommuPage)).DirtyRanges);
    }

    [Fact]
    public async Task Starting_to_track_makes_every_page_clean_and_stopping_ends_it()
    {
        var hwpt = await TrackedAsync();
        await WriteAsync(hwpt, Base, 5);
        await Context.SetDirtyTrackingAsync(hwpt, enable: true);
        Assert.Empty((await Context.GetDirtyBitmapAsync(hwpt, Mapped, IommuPage)).DirtyRanges);

        await Context.SetDirtyTrackingAsync(hwpt, enable: false);
        Assert.False((await StateAsync<HwptState>(hwpt)).TracksDirtyPages);
    }

    [Fact]
    public async Task What_is_unmapped_is_clean_and_what_is_not_mapped_never_dirty()
    {
        var hwpt = await TrackedAsync();
        await Context.MapAsync(Ioas, Pages(1), new Iova(Mapped.Last + 1));
        Assert.Equal(3UL, await WriteAsync(hwpt, Base, 0, 128, 130));

        await Context.UnmapAsync(Ioas, Range(Mapped.Last + 1, Page));
        await Context.MapAsync(Ioas, Pages(1), new Iova(Mapped.Last + 1));

        Assert.Equal([Range(Base, IommuPage)], (await Context.GetDirtyBitmapAsync(hwpt, Range(Base, 128 * Page), IommuPage)).DirtyRanges);
    }

    [Fact]
    public async Task Any_pages_that_were_written_are_those_that_are_dirty()
    {
        var seed = Seed.Of(output);
        var random = new Random(seed);
        var hwpt = await TrackedAsync();
        var written = new HashSet<ulong>();
        for (var round = 0; round < 20; round++)
        {
            var bits = Enumerable.Range(0, random.Next(1, 20)).Select(_ => random.Next(128)).Distinct().ToArray();
            await WriteAsync(hwpt, Base, bits);
            written.UnionWith(bits.Select(bit => (ulong)bit));
            var (first, count) = ((ulong)random.Next(32), (ulong)random.Next(1, 32));
            var (range, clear) = (Range(Base + (first * Page), count * Page), random.Next(2) == 0);

            var bitmap = await Context.GetDirtyBitmapAsync(hwpt, range, IommuPage, clear);

            var expected = written.Where(bit => bit / 2 >= first && bit / 2 < first + count).Order().ToArray();
            var actual = Enumerable.Range(0, 128).Select(bit => (ulong)bit).Where(bit => bitmap.IsDirty(new Iova(Base + (bit * IommuPage)))).ToArray();
            Assert.True(expected.SequenceEqual(actual), $"seed {seed}, round {round}, {range}: expected [{string.Join(' ', expected)}], was [{string.Join(' ', actual)}]");
            written.ExceptWith(clear ? expected : []);
        }
    }

    [Fact]
    public async Task A_page_table_that_was_not_made_to_track_is_EOPNOTSUPP()
    {
        var device = await BindAsync();
        var hwpt = await device.AttachAsync(Ioas);
        await RefusedAsync("starting", Errno.EOPNOTSUPP, DiagnosticReason.DirtyTrackingUnsupported, () => Context.SetDirtyTrackingAsync(hwpt, enable: true).AsTask());
        await RefusedAsync("reading", Errno.EOPNOTSUPP, DiagnosticReason.DirtyTrackingUnsupported, () => Context.GetDirtyBitmapAsync(hwpt, Mapped, Page).AsTask());
        await RefusedAsync("an IOAS", Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, () => Context.SetDirtyTrackingAsync(Ioas, enable: true).AsTask());
        await RefusedAsync("nothing", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => Context.GetDirtyBitmapAsync(new ObjectId(77), Mapped, Page).AsTask());
    }

    [Fact]
    public async Task A_range_that_is_not_whole_pages_is_EINVAL()
    {
        var hwpt = await TrackedAsync();
        await WriteAsync(hwpt, Base, 0);
        foreach (var (range, pageSize, reason) in new[]
        {
            (Range(Base + 1, Page), Page, DiagnosticReason.Misaligned),
            (Range(Base, Page + 1), Page, DiagnosticReason.MisalignedLength),
            (Range(Base, Page), 0UL, DiagnosticReason.InvalidPageSize),
            (Range(Base, Page), 2 * Page, DiagnosticReason.MisalignedLength),
            (Range(Base + 1024, 1024), 1024UL, DiagnosticReason.Misaligned),
        })
        {
            await RefusedAsync(
                $"{range} of pages of {pageSize}", Errno.EINVAL, reason, () => Context.GetDirtyBitmapAsync(hwpt, range, pageSize).AsTask());
        }

        Assert.Equal(1, (await StateAsync<HwptState>(hwpt)).DirtyPages);
    }

    [Fact]
    public async Task A_device_that_cannot_track_is_not_attached_to_a_page_table_that_does()
    {
        var hwpt = await TrackedAsync();
        var plain = await BindAsync("plain", tracksDirtyPages: false);
        await RefusedAsync("attaching", Errno.EINVAL, DiagnosticReason.DeviceIncompatible, () => plain.AttachAsync(hwpt).AsTask());
        var own = await plain.AttachAsync(Ioas);
        await RefusedAsync("replacing", Errno.EINVAL, DiagnosticReason.DeviceIncompatible, () => plain.ReplaceAsync(hwpt).AsTask());
        Assert.Equal(own, (await StateAsync<DeviceState>(plain.Id)).Hwpt);
    }

    [Fact]
    public async Task The_raw_op_that_writes_pages_is_refused_for_its_reasons()
    {
        var hwpt = await TrackedAsync();
        var raw = new RawProgram(Context);
        raw.Memory.Add(Bitmap, new byte[4]);
        var fields = new IommuTestDirty { Iova = Base, Length = 32 * IommuPage, PageSize = IommuPage, Uptr = Bitmap };
        await raw.ExpectAsync("zeros", Errno.None, IommuTestOp.Dirty, hwpt.Value, fields);
        (string What, Errno Errno, uint Id, IommuTestDirty Fields)[] all =
        [
            ("no page size", Errno.EINVAL, hwpt.Value, fields with { PageSize = 0 }),
            ("no length", Errno.EINVAL, hwpt.Value, fields with { Length = 0 }),
            ("no bitmap", Errno.EINVAL, hwpt.Value, fields with { Uptr = 0 }),
            ("an IOVA within a page", Errno.EINVAL, hwpt.Value, fields with { Iova = Base + 1 }),
            ("half a page", Errno.EINVAL, hwpt.Value, fields with { Length = IommuPage / 2 }),
            ("no HWPT", Errno.ENOENT, 77, fields),
            ("an IOAS", Errno.ENOENT, Ioas.Value, fields),
            ("a bitmap that is cut off", Errno.EFAULT, hwpt.Value, fields with { Length = 33 * IommuPage }),
            ("a bitmap that isn't there", Errno.EFAULT, hwpt.Value, fields with { Uptr = 0x6000_0000 }),
        ];
        foreach (var (what, errno, id, wrong) in all)
        {
            await raw.ExpectAsync(what, errno, IommuTestOp.Dirty, id, wrong);
        }

        await Context.SetDirtyTrackingAsync(hwpt, enable: false);
        await raw.ExpectAsync("without tracking", Errno.EINVAL, IommuTestOp.Dirty, hwpt.Value, fields);
    }

    // A page table that tracks 64 mapped pages, with a device attached to it. The memory begins within a page, so that each half of a page has an entry of its own.
    private async Task<ObjectId> TrackedAsync()
    {
        await Context.MapAsync(Ioas, Pages(65).Slice((int)IommuPage, 64 * (int)Page), new Iova(Base));
        var device = await BindAsync();
        var hwpt = await Context.AllocateHwptAsync(device.Id, Ioas, IommuHwptAllocFlags.DirtyTracking);
        await device.AttachAsync(hwpt);
        await Context.SetDirtyTrackingAsync(hwpt, enable: true);
        return hwpt;
    }

    // Writes pages of the IOMMU as a device does; answers how many bits were set.
    private async Task<ulong> WriteAsync(ObjectId hwpt, ulong iova, params int[] pages)
    {
        var bits = new byte[(pages.Max() / 8) + 1];
        Array.ForEach(pages, page => bits[page / 8] |= (byte)(1 << (page % 8)));
        var raw = new RawProgram(Context);
        raw.Memory.Add(Bitmap, bits);
        var (errno, fields) = await raw.TestAsync(
            IommuTestOp.Dirty, hwpt.Value, new IommuTestDirty { Iova = iova, Length = (ulong)bits.Length * 8 * IommuPage, PageSize = IommuPage, Uptr = Bitmap });
        Assert.True(errno == Errno.None, $"writing pages [{string.Join(' ', pages)}]: {errno}");
        return fields.OutNrDirty;
    }
}
