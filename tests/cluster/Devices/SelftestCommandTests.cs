using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>The ops of IOMMU_TEST_CMD that look at page tables, pins and devices.</summary>
[Collection(DeviceCluster.Name)]
public sealed class SelftestCommandTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const ulong Data = 0x5000_0000;
    private const ulong Nowhere = 0x7000_0000;
    private const uint CacheDefault = 0xBADDAD;

    [Fact]
    public async Task What_IOVAs_lead_to_is_checked_page_by_page_of_the_IOMMU()
    {
        var raw = await MappedAsync();
        var hwpt = (await raw.MockDomainAsync(Ioas)).OutHwptId;
        var fields = new IommuTestCheckMap { Iova = Base, Length = 4 * Page, Uptr = Data };
        (string What, Errno Errno, uint Id, IommuTestCheckMap Fields)[] all =
        [
            ("all of it", Errno.None, hwpt, fields),
            ("half a page of the machine", Errno.None, hwpt, fields with { Iova = Base + 2048, Length = 2048, Uptr = Data + 2048 }),
            ("nothing", Errno.None, hwpt, fields with { Length = 0, Uptr = Nowhere }),
            ("no HWPT", Errno.ENOENT, 77, fields),
            ("an IOAS", Errno.ENOENT, Ioas.Value, fields),
            ("an IOVA within a page", Errno.EINVAL, hwpt, fields with { Iova = Base + 1 }),
            ("a length within a page", Errno.EINVAL, hwpt, fields with { Length = Page + 1 }),
            ("an address within a page", Errno.EINVAL, hwpt, fields with { Uptr = Data + 1 }),
            ("addresses past the last", Errno.EINVAL, hwpt, fields with { Uptr = ulong.MaxValue - 2047 }),
            ("other memory", Errno.EINVAL, hwpt, fields with { Length = 2048, Uptr = Data + 2048 }),
            ("what is not mapped", Errno.EINVAL, hwpt, fields with { Iova = Base - 2048, Length = 2048 }),
            ("beyond what is mapped", Errno.EINVAL, hwpt, fields with { Length = 5 * Page }),
            ("memory that isn't there", Errno.EFAULT, hwpt, fields with { Uptr = Nowhere }),
        ];
        foreach (var (what, errno, id, checks) in all)
        {
            await raw.ExpectAsync(what, errno, IommuTestOp.MdCheckMap, id, checks);
        }
    }

    [Fact]
    public async Task Pages_are_pinned_once_by_all_that_share_them()
    {
        var raw = await MappedAsync();
        var other = await Context.AllocateIoasAsync();
        var fields = new IommuTestCheckRefs { Length = 4 * Page, Uptr = Data };
        await raw.ExpectAsync("mapped, without a page table", Errno.None, IommuTestOp.MdCheckRefs, 0, fields);
        await raw.ExpectAsync("mapped, without a page table, as if pinned", Errno.EIO, IommuTestOp.MdCheckRefs, 0, fields with { Refs = 1 });

        var device = await raw.MockDomainAsync(Ioas);
        await raw.ExpectAsync("mirrored", Errno.None, IommuTestOp.MdCheckRefs, 0, fields with { Refs = 1 });
        await raw.MockDomainAsync(other);
        await Context.CopyAsync(Ioas, Range(Base, 4 * Page), other, new Iova(Base));
        await raw.ExpectAsync("mirrored, and as a copy", Errno.None, IommuTestOp.MdCheckRefs, 0, fields with { Refs = 1 });
        await raw.MapAsync(other, Data, 4 * Page, Base + (8 * Page));
        await raw.ExpectAsync("mapped a second time", Errno.None, IommuTestOp.MdCheckRefs, 0, fields with { Refs = 2 });
        await Context.UnmapAsync(other, Range(Base + (8 * Page), 4 * Page));
        await Context.UnmapAsync(other, Range(Base, 4 * Page));

        await Context.DestroyAsync(new ObjectId(device.OutStdevId));
        await raw.ExpectAsync("not mirrored any more", Errno.None, IommuTestOp.MdCheckRefs, 0, fields);
        await using var access = await Driver.CreateAccessAsync(Ioas, needsPinPages: true);
        await using (await access.PinAsync(Range(Base + Page, 2 * Page)))
        {
            await raw.ExpectAsync("pinned by an access", Errno.None, IommuTestOp.MdCheckRefs, 0, new IommuTestCheckRefs { Length = 2 * Page, Uptr = Data + Page, Refs = 1 });
            await raw.ExpectAsync("with a page that is not", Errno.EIO, IommuTestOp.MdCheckRefs, 0, fields with { Refs = 1 });
            await raw.ExpectAsync("the page beside", Errno.None, IommuTestOp.MdCheckRefs, 0, fields with { Length = Page });
        }

        await raw.ExpectAsync("unpinned", Errno.None, IommuTestOp.MdCheckRefs, 0, fields);
    }

    [Fact]
    public async Task Pages_whose_pins_cannot_be_counted_are_refused_for_their_reasons()
    {
        var raw = await MappedAsync();
        (string What, Errno Errno, IommuTestCheckRefs Fields)[] all =
        [
            ("no page", Errno.None, new() { Uptr = Nowhere, Refs = 7 }),
            ("a length within a page", Errno.EINVAL, new() { Uptr = Data, Length = Page + 1 }),
            ("an address within a page", Errno.EINVAL, new() { Uptr = Data + 2048, Length = Page }),
            ("past the last address", Errno.EINVAL, new() { Uptr = ulong.MaxValue - (Page - 1), Length = 2 * Page }),
            ("memory that isn't there", Errno.EFAULT, new() { Uptr = Nowhere, Length = Page }),
            ("memory that ends", Errno.EFAULT, new() { Uptr = Data, Length = 6 * Page }),
        ];
        foreach (var (what, errno, fields) in all)
        {
            await raw.ExpectAsync(what, errno, IommuTestOp.MdCheckRefs, 0, fields);
        }
    }

    [Fact]
    public async Task The_cache_of_a_device_has_four_entries()
    {
        var raw = new RawProgram(Context);
        var device = (await raw.MockDomainAsync(Ioas)).OutIdevId;
        for (var entry = 0U; entry < 4; entry++)
        {
            await raw.ExpectAsync($"entry {entry}", Errno.None, IommuTestOp.DevCheckCache, device, new IommuTestCheckDevCache { Id = entry, Cache = CacheDefault });
            await raw.ExpectAsync($"another value of entry {entry}", Errno.EINVAL, IommuTestOp.DevCheckCache, device, new IommuTestCheckDevCache { Id = entry });
        }

        foreach (var entry in (uint[])[4, uint.MaxValue])
        {
            await raw.ExpectAsync($"entry {entry}", Errno.EINVAL, IommuTestOp.DevCheckCache, device, new IommuTestCheckDevCache { Id = entry, Cache = CacheDefault });
        }

        await raw.ExpectAsync("no device", Errno.ENOENT, IommuTestOp.DevCheckCache, 77, new IommuTestCheckDevCache { Cache = CacheDefault });
        await raw.ExpectAsync("an IOAS", Errno.ENOENT, IommuTestOp.DevCheckCache, Ioas.Value, new IommuTestCheckDevCache { Cache = CacheDefault });
    }

    [Fact]
    public async Task The_memory_of_a_step_of_pinning_is_at_least_one_entry()
    {
        var raw = new RawProgram(Context);
        Assert.Equal(65536U, (await Context.InspectAsync()).TempMemoryLimit);
        foreach (var (limit, errno, after) in new[] { (11U, Errno.EINVAL, 65536U), (0U, Errno.EINVAL, 65536U), (12U, Errno.None, 12U), (uint.MaxValue, Errno.None, uint.MaxValue) })
        {
            await raw.ExpectAsync($"a limit of {limit}", errno, IommuTestOp.SetTempMemoryLimit, 0, new IommuTestMemoryLimit { Limit = limit });
            Assert.Equal(after, (await Context.InspectAsync()).TempMemoryLimit);
        }
    }

    [Theory]
    [InlineData(0U)]
    [InlineData(24U)]
    [InlineData(25U)]
    [InlineData(uint.MaxValue)]
    public async Task An_op_that_is_not_supported_is_EOPNOTSUPP_and_changes_nothing(uint op)
    {
        var before = await SnapshotAsync();
        var result = await Context.IoctlAsync(IommuCommand.TestCmd, new IommuTestCmd { Op = op, Id = Ioas.Value });
        Assert.Equal((Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOp, (ulong)op), (result.Errno, result.Diagnostic!.Reason, result.Diagnostic.Value));
        Assert.Equal(before, await SnapshotAsync());
    }

    // A program that has five pages, of which it has mapped four.
    private async Task<RawProgram> MappedAsync()
    {
        var raw = new RawProgram(Context);
        raw.Memory.Add(Data, new byte[5 * Page]);
        await raw.MapAsync(Ioas, Data, 4 * Page, Base);
        return raw;
    }
}
