using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>The ops of IOMMU_TEST_CMD on accesses, as a program with a descriptor table issues them.</summary>
[Collection(DeviceCluster.Name)]
public sealed class SelftestAccessTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const ulong Data = 0x5000_0000;
    private const ulong Buffer = 0x6000_0000;
    private const ulong Nowhere = 0x7000_0000;
    private const uint Pins = (uint)IommuTestCreateAccessFlags.NeedsPinPages;
    private readonly byte[] _data = new byte[4 * Page];
    private readonly byte[] _buffer = new byte[64];

    [Fact]
    public async Task An_access_gets_the_lowest_descriptor_and_ends_with_it()
    {
        var raw = new RawProgram(Context);
        var before = await SnapshotAsync();
        Assert.Equal((3U, 4U), (await raw.CreateAccessAsync(Ioas), await raw.CreateAccessAsync(Ioas)));
        Assert.Equal(3, (await ObjectsAsync()).Length);

        Assert.True(await raw.Memory.CloseFileAsync(3), "descriptor 3 was open");
        Assert.Equal(3U, await raw.CreateAccessAsync(Ioas));
        await raw.Memory.CloseFilesAsync();

        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task An_access_keeps_its_context_until_its_descriptor_is_closed()
    {
        var context = await Cluster.Programs.OpenAsync();
        var raw = new RawProgram(context);
        await raw.CreateAccessAsync(await context.AllocateIoasAsync());
        Assert.Null(await context.CloseAsync());
        Assert.Equal(2, (await Cluster.Onlookers.InspectAsync(context.Handle, new InspectRequest(default, 10, false))).ObjectCount);
        await raw.Memory.CloseFilesAsync();
        var gone = await Assert.ThrowsAsync<IommufdException>(() => Cluster.Onlookers.InspectAsync(context.Handle, new InspectRequest(default, 10, false)));
        Assert.Equal(Errno.EBADF, gone.Errno);
    }

    [Fact]
    public async Task An_access_that_cannot_be_made_leaves_everything_as_it_was()
    {
        var raw = new RawProgram(Context);
        await Context.MapAsync(Ioas, Pages(1)[..100], new Iova(Base));
        var before = await SnapshotAsync();
        await raw.ExpectAsync("an unknown flag", Errno.EOPNOTSUPP, IommuTestOp.CreateAccess, Ioas.Value, new IommuTestCreateAccess { Flags = 2 });
        await raw.ExpectAsync("no IOAS", Errno.ENOENT, IommuTestOp.CreateAccess, 77, default(IommuTestCreateAccess));
        await raw.ExpectAsync("areas that are not whole pages", Errno.EADDRINUSE, IommuTestOp.CreateAccess, Ioas.Value, new IommuTestCreateAccess { Flags = Pins });
        var argument = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.CreateAccess, Id = Ioas.Value });
        Assert.Equal(Errno.EMFILE, (await Context.IoctlAsync((uint)IommuCommand.TestCmd, argument)).Errno);
        var readOnly = new CallerMemory().Add(Data, argument, MemoryAccess.Read);
        Assert.Equal(Errno.EFAULT, (await Context.IoctlAsync((uint)IommuCommand.TestCmd, Data, readOnly)).Errno);
        Assert.Null(readOnly.FindFile(3));
        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task Pages_are_pinned_compared_and_unpinned()
    {
        var raw = await MappedAsync();
        var access = await raw.CreateAccessAsync(Ioas, IommuTestCreateAccessFlags.NeedsPinPages);
        var fields = new IommuTestAccessPages { Iova = Base, Length = 2 * Page, Uptr = Data };
        for (var pin = 0U; pin < 3; pin++)
        {
            var (errno, answer) = await raw.TestAsync(IommuTestOp.AccessPages, access, fields with { Flags = pin == 1 ? (uint)IommuTestAccessFlags.Write : 0 });
            Assert.Equal((Errno.None, pin), (errno, answer.OutAccessPagesId));
        }

        await raw.ExpectAsync("unchecked", Errno.None, IommuTestOp.AccessPages, access, fields with { Uptr = 0 });
        await raw.ExpectAsync("by the number of its area", Errno.None, IommuTestOp.AccessPages, access, fields with { Iova = 0, Length = Page, Flags = (uint)IommuTestAccessFlags.Syz });
        Assert.Equal(5, (await StateAsync<IoasState>(Ioas)).Pins);
        for (var pin = 0U; pin < 5; pin++)
        {
            await raw.ExpectAsync($"pin {pin}", Errno.None, IommuTestOp.DestroyAccessPages, access, new IommuTestDestroyAccessPages { AccessPagesId = pin });
            await raw.ExpectAsync($"pin {pin} again", Errno.ENOENT, IommuTestOp.DestroyAccessPages, access, new IommuTestDestroyAccessPages { AccessPagesId = pin });
        }

        Assert.Equal(0, (await StateAsync<IoasState>(Ioas)).Pins);
        await raw.ExpectAsync("no file", Errno.EBADFD, IommuTestOp.DestroyAccessPages, 99, default(IommuTestDestroyAccessPages));
    }

    [Fact]
    public async Task Pages_that_cannot_be_pinned_are_refused_for_their_reasons_and_in_their_order()
    {
        var raw = await MappedAsync();
        raw.Memory.AddFile(50, new UserFile("memfd", IsMemfd: true, 1 << 20));
        var access = await raw.CreateAccessAsync(Ioas, IommuTestCreateAccessFlags.NeedsPinPages);
        var copying = await raw.CreateAccessAsync(Ioas);
        var fields = new IommuTestAccessPages { Iova = Base, Length = Page, Uptr = Data };
        var large = fields with { Length = IoctlLimits.MaxAccessBytes + 1, Flags = (uint)IommuTestAccessFlags.SlowPath };
        (string What, Errno Errno, uint File, IommuTestAccessPages Fields)[] all =
        [
            ("16 MiB and 1, before the flags", Errno.ENOMEM, 99, large),
            ("flags, before the file", Errno.EOPNOTSUPP, 99, fields with { Flags = (uint)IommuTestAccessFlags.SlowPath }),
            ("a closed descriptor", Errno.EBADFD, 99, fields),
            ("a file that is no access", Errno.EBADFD, 50, fields),
            ("an access that does not pin", Errno.EOPNOTSUPP, copying, fields with { Length = 0 }),
            ("no bytes", Errno.EINVAL, access, fields with { Length = 0 }),
            ("within a page", Errno.EINVAL, access, fields with { Iova = Base + 1 }),
            ("past the last IOVA", Errno.EOVERFLOW, access, fields with { Iova = ulong.MaxValue, Length = 2 }),
            ("what is not mapped", Errno.ENOENT, access, fields with { Iova = Base - Page }),
            ("read-only, to write", Errno.EPERM, access, fields with { Iova = Base + (3 * Page), Uptr = Data + (3 * Page), Flags = (uint)IommuTestAccessFlags.Write }),
            ("memory that isn't there", Errno.EFAULT, access, fields with { Iova = Base + (8 * Page), Uptr = 0 }),
            ("compared with memory that isn't there", Errno.EFAULT, access, fields with { Uptr = Nowhere }),
            ("compared with other memory", Errno.EBADE, access, fields with { Uptr = Data + Page }),
        ];
        foreach (var (what, errno, file, wrong) in all)
        {
            await raw.ExpectAsync(what, errno, IommuTestOp.AccessPages, file, wrong);
        }

        Assert.Equal(0, (await StateAsync<IoasState>(Ioas)).Pins);
        var (first, answer) = await raw.TestAsync(IommuTestOp.AccessPages, access, fields);
        Assert.Equal((Errno.None, 0U), (first, answer.OutAccessPagesId));
    }

    [Fact]
    public async Task Bytes_are_copied_between_the_buffer_and_what_is_mapped()
    {
        var raw = await MappedAsync();
        var access = await raw.CreateAccessAsync(Ioas);
        new Random(1).NextBytes(_buffer);
        var fields = new IommuTestAccessRw { Iova = Base + (2 * Page) - 20, Length = 50, Uptr = Buffer, Flags = (uint)IommuTestAccessFlags.Write };
        await raw.ExpectAsync("a write", Errno.None, IommuTestOp.AccessRw, access, fields);
        Assert.Equal(_buffer[..50], _data[(int)((2 * Page) - 20)..(int)((2 * Page) + 30)]);
        Assert.Equal(0, _data[(2 * Page) + 30]);

        var written = _buffer[..50];
        foreach (var flags in (IommuTestAccessFlags[])[IommuTestAccessFlags.None, IommuTestAccessFlags.SlowPath])
        {
            Array.Clear(_buffer);
            await raw.ExpectAsync($"a read with {flags}", Errno.None, IommuTestOp.AccessRw, access, fields with { Flags = (uint)flags });
            Assert.Equal(written, _buffer[..50]);
            Assert.Equal(0, _buffer[50]);
        }

        var (area, offset) = (0UL, (2 * Page) - 20);
        Array.Clear(_buffer);
        await raw.ExpectAsync("a read by the number of its area", Errno.None, IommuTestOp.AccessRw, access, fields with { Iova = area | (offset << 32), Flags = (uint)IommuTestAccessFlags.Syz });
        Assert.Equal(written, _buffer[..50]);
    }

    [Fact]
    public async Task Bytes_that_cannot_be_copied_are_refused_for_their_reasons_and_in_their_order()
    {
        var raw = await MappedAsync();
        var readOnly = new byte[64];
        raw.Memory.Add(Buffer + 0x1000, readOnly, MemoryAccess.Read);
        var access = await raw.CreateAccessAsync(Ioas);
        const uint Write = (uint)IommuTestAccessFlags.Write;
        var fields = new IommuTestAccessRw { Iova = Base, Length = 8, Uptr = Buffer };
        _buffer.AsSpan().Fill(7);
        (string What, Errno Errno, uint File, IommuTestAccessRw Fields)[] all =
        [
            ("16 MiB and 1, before the flags", Errno.ENOMEM, 99, fields with { Length = IoctlLimits.MaxAccessBytes + 1, Flags = 2 }),
            ("flags, before the file", Errno.EOPNOTSUPP, 99, fields with { Flags = 2 }),
            ("a closed descriptor", Errno.EBADFD, 99, fields),
            ("a buffer that can't be read, before what is mapped", Errno.EFAULT, access, fields with { Iova = 0, Uptr = Nowhere, Flags = Write }),
            ("a buffer that is cut off", Errno.EFAULT, access, fields with { Uptr = Buffer + 60, Flags = Write }),
            ("no bytes", Errno.EINVAL, access, fields with { Length = 0 }),
            ("past the last IOVA", Errno.EOVERFLOW, access, fields with { Iova = ulong.MaxValue }),
            ("what is not mapped, before a buffer that can't be written", Errno.ENOENT, access, fields with { Iova = Base - 4, Uptr = Nowhere }),
            ("read-only, to write", Errno.EPERM, access, fields with { Iova = Base + (3 * Page) - 4, Flags = Write }),
            ("a buffer that can't be written", Errno.EFAULT, access, fields with { Uptr = Buffer + 0x1000 }),
            ("memory that isn't there", Errno.EFAULT, access, fields with { Iova = Base + (8 * Page) }),
            ("memory that isn't there, to write", Errno.EFAULT, access, fields with { Iova = Base + (8 * Page), Flags = Write }),
        ];
        foreach (var (what, errno, file, wrong) in all)
        {
            await raw.ExpectAsync(what, errno, IommuTestOp.AccessRw, file, wrong);
        }

        // What lies before a page that must not be written has been written.
        var before = _data.AsSpan((int)(3 * Page) - 4, 4);
        Assert.Equal([7, 7, 7, 7], before.ToArray());
        before.Clear();
        Assert.True(_data.AsSpan().IndexOfAnyExcept((byte)0) < 0, "nothing else was copied to what is mapped");
        Assert.True(_buffer.AsSpan().IndexOfAnyExcept((byte)7) < 0, "nothing was copied to the buffer");
        Assert.True(readOnly.AsSpan().IndexOfAnyExcept((byte)0) < 0, "nothing was copied to the read-only buffer");
    }

    [Fact]
    public async Task An_access_is_moved_to_another_IOAS_without_its_pins()
    {
        var raw = await MappedAsync();
        var other = await Context.AllocateIoasAsync();
        var misaligned = await Context.AllocateIoasAsync();
        await Context.MapAsync(misaligned, Pages(1)[..100], new Iova(Base));
        var access = await raw.CreateAccessAsync(Ioas, IommuTestCreateAccessFlags.NeedsPinPages);
        await raw.ExpectAsync("a page", Errno.None, IommuTestOp.AccessPages, access, new IommuTestAccessPages { Iova = Base, Length = Page });
        var before = await SnapshotAsync();
        await raw.ExpectAsync("no file", Errno.EBADFD, IommuTestOp.AccessReplaceIoas, 99, new IommuTestAccessReplaceIoas { IoasId = other.Value });
        await raw.ExpectAsync("no IOAS", Errno.ENOENT, IommuTestOp.AccessReplaceIoas, access, new IommuTestAccessReplaceIoas { IoasId = 77 });
        await raw.ExpectAsync("areas that are not whole pages", Errno.EADDRINUSE, IommuTestOp.AccessReplaceIoas, access, new IommuTestAccessReplaceIoas { IoasId = misaligned.Value });
        await raw.ExpectAsync("the same IOAS", Errno.None, IommuTestOp.AccessReplaceIoas, access, new IommuTestAccessReplaceIoas { IoasId = Ioas.Value });
        Assert.Equal(before, await SnapshotAsync());

        await raw.ExpectAsync("another IOAS", Errno.None, IommuTestOp.AccessReplaceIoas, access, new IommuTestAccessReplaceIoas { IoasId = other.Value });

        await raw.ExpectAsync("the pin before", Errno.ENOENT, IommuTestOp.DestroyAccessPages, access, default(IommuTestDestroyAccessPages));
        Assert.Equal((0, 1), ((await StateAsync<IoasState>(Ioas)).Accesses, (await StateAsync<IoasState>(other)).Accesses));
        await Context.DestroyAsync(Ioas);
    }

    [Fact]
    public async Task An_ioctl_on_the_access_of_another_context_acts_on_that_context()
    {
        var raw = await MappedAsync();
        var access = await raw.CreateAccessAsync(Ioas);
        await using var other = await Cluster.Programs.OpenAsync();
        var through = new RawProgram(other);
        through.Memory.AddFile(9, raw.Memory.FindFile((int)access)!).Add(Data, _data).Add(Buffer, _buffer);
        _buffer[0] = 42;
        await through.ExpectAsync(
            "a write", Errno.None, IommuTestOp.AccessRw, 9, new IommuTestAccessRw { Iova = Base, Length = 1, Uptr = Buffer, Flags = (uint)IommuTestAccessFlags.Write });
        Assert.Equal(42, _data[0]);
    }

    [Fact]
    public async Task A_file_that_claims_an_access_which_is_not_its_own_is_EBADFD()
    {
        var raw = await MappedAsync();
        var access = await raw.CreateAccessAsync(Ioas);
        var own = raw.Memory.FindFile((int)access)!;
        var driven = await Driver.CreateAccessAsync(Ioas);
        raw.Memory.AddFile(20, own with { Target = own.Target! with { Id = driven.Id } });
        raw.Memory.AddFile(21, own with { Target = own.Target! with { Reference = new ReferenceId(1) } });
        raw.Memory.AddFile(22, own with { Target = own.Target! with { Id = Ioas } });
        raw.Memory.AddFile(23, own with { Target = own.Target! with { Type = ObjectType.Ioas } });
        raw.Memory.AddFile(24, own with { Target = own.Target! with { Type = ObjectType.Any } });
        raw.Memory.AddFile(25, own with { Target = null });
        foreach (var fileDescriptor in (uint[])[20, 21, 22, 23, 24, 25])
        {
            await raw.ExpectAsync($"file {fileDescriptor}", Errno.EBADFD, IommuTestOp.AccessReplaceIoas, fileDescriptor, new IommuTestAccessReplaceIoas { IoasId = Ioas.Value });
        }
    }

    // A program that has mapped three pages, a fourth for reading only, and a ninth where no memory is.
    private async Task<RawProgram> MappedAsync()
    {
        var raw = new RawProgram(Context);
        raw.Memory.Add(Data, _data).Add(Buffer, _buffer);
        await raw.MapAsync(Ioas, Data, 3 * Page, Base);
        await raw.MapAsync(Ioas, Data + (3 * Page), Page, Base + (3 * Page), writeable: false);
        await raw.MapAsync(Ioas, Nowhere, Page, Base + (8 * Page));
        return raw;
    }
}
