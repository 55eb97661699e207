using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Devices;

/// <summary>Accesses of drivers to the memory that an IOAS maps.</summary>
[Collection(DeviceCluster.Name)]
public sealed class AccessTests(DeviceCluster cluster, ITestOutputHelper output) : DeviceContext(cluster)
{
    [Fact]
    public async Task Bytes_are_written_and_read_across_areas_from_and_to_the_middle_of_pages()
    {
        var (low, high) = (Pages(2), Pages(1));
        await Context.MapAsync(Ioas, low, new Iova(Base));
        await Context.MapAsync(Ioas, high, new Iova(Base + (2 * Page)));
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory);
        byte[] written = [.. Enumerable.Range(1, 300).Select(i => (byte)i)];

        await access.WriteAsync(new Iova(Base + (2 * Page) - 177), written);

        Assert.Equal(written[..177], low[^177..].ToArray());
        Assert.Equal(written[177..], high[..123].ToArray());
        Assert.Equal((0, 0), (low.Span[^178], high.Span[123]));
        high.Span[0] = 0xEE;
        written[177] = 0xEE;
        var read = new byte[300];
        await access.ReadAsync(new Iova(Base + (2 * Page) - 177), read);
        Assert.Equal(written, read);
    }

    [Fact]
    public async Task Any_bytes_that_are_written_are_those_that_are_read()
    {
        var seed = Seed.Of(output);
        var random = new Random(seed);
        var pieces = Enumerable.Range(0, 6).Select(_ => Pages(1)).ToArray();
        for (var i = 0; i < pieces.Length; i++)
        {
            await Context.MapAsync(Ioas, pieces[i], new Iova(Base + ((ulong)i * Page)));
        }

        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory);
        var expected = new byte[pieces.Length * (int)Page];
        for (var round = 0; round < 50; round++)
        {
            var start = random.Next(expected.Length);
            var bytes = new byte[random.Next(1, expected.Length - start + 1)];
            random.NextBytes(bytes);
            bytes.CopyTo(expected, start);
            await access.WriteAsync(new Iova(Base + (ulong)start), bytes);
            var from = random.Next(expected.Length);
            var read = new byte[random.Next(1, expected.Length - from + 1)];
            await access.ReadAsync(new Iova(Base + (ulong)from), read);
            Assert.True(expected.AsSpan(from, read.Length).SequenceEqual(read), $"seed {seed}, round {round}: {read.Length} bytes from {from}");
        }

        Assert.True(expected.AsSpan().SequenceEqual(pieces.SelectMany(piece => piece.ToArray()).ToArray()), $"seed {seed}: the memory itself");
    }

    [Fact]
    public async Task Memory_that_is_mapped_twice_is_read_as_far_as_the_longer_mapping_goes()
    {
        var memory = Pages(2);
        await Context.MapAsync(Ioas, memory[..(int)Page], new Iova(Base));
        await Context.MapAsync(Ioas, memory, new Iova(Base + (8 * Page)));
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory);
        memory.Span.Fill(7);
        var read = new byte[2 * Page];
        await access.ReadAsync(new Iova(Base + (8 * Page)), read);
        Assert.True(memory.Span.SequenceEqual(read), "both pages are read");
    }

    [Fact]
    public async Task What_may_only_be_read_is_EPERM_to_a_write_and_nothing_is_copied()
    {
        var (writeable, readOnly, writeOnly) = (Pages(1), Pages(1), Pages(1));
        await Context.MapAsync(Ioas, writeable, new Iova(Base));
        await Context.MapAsync(Ioas, readOnly, new Iova(Base + Page), DmaAccess.Read);
        await Context.MapAsync(Ioas, writeOnly, new Iova(Base + (8 * Page)), DmaAccess.Write);
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory);

        await RefusedAsync("a write that ends in it", Errno.EPERM, DiagnosticReason.AccessDenied, () => access.WriteAsync(new Iova(Base + 4000), Ones(200)).AsTask());
        await RefusedAsync("a write in it", Errno.EPERM, DiagnosticReason.AccessDenied, () => access.WriteAsync(new Iova(Base + Page), Ones(1)).AsTask());
        await RefusedAsync("a read of what may only be written", Errno.EPERM, DiagnosticReason.AccessDenied, () => access.ReadAsync(new Iova(Base + (8 * Page)), new byte[1]).AsTask());

        Assert.True(writeable.Span.IndexOfAnyExcept((byte)0) < 0, "nothing is copied to the area before");
        Assert.True(readOnly.Span.IndexOfAnyExcept((byte)0) < 0, "nothing is copied to the area itself");
        await access.ReadAsync(new Iova(Base + 4000), new byte[200]);
        await access.WriteAsync(new Iova(Base + (8 * Page)), Ones(1));
        Assert.Equal(1, writeOnly.Span[0]);
    }

    [Fact]
    public async Task What_is_not_mapped_as_a_whole_is_ENOENT_and_nothing_is_copied()
    {
        var memory = Pages(1);
        await Context.MapAsync(Ioas, memory, new Iova(Base));
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory);
        foreach (var (start, length) in new[] { (Base - 1, 2), (Base + Page - 1, 2), (Base + Page, 1), (0UL, 1) })
        {
            await RefusedAsync($"writing {length} bytes at 0x{start:X}", Errno.ENOENT, DiagnosticReason.IovaNotMapped, () => access.WriteAsync(new Iova(start), Ones(length)).AsTask());
            await RefusedAsync($"reading {length} bytes at 0x{start:X}", Errno.ENOENT, DiagnosticReason.IovaNotMapped, () => access.ReadAsync(new Iova(start), new byte[length]).AsTask());
        }

        Assert.True(memory.Span.IndexOfAnyExcept((byte)0) < 0, "nothing is copied");
    }

    [Fact]
    public async Task Lengths_have_their_bounds()
    {
        await Context.MapAsync(Ioas, Pages(1), new Iova(Base));
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory);
        var large = new byte[IoctlLimits.MaxAccessBytes + 1];
        await RefusedAsync("no bytes", Errno.EINVAL, DiagnosticReason.EmptyRange, () => access.ReadAsync(new Iova(Base), default).AsTask());
        await RefusedAsync("16 MiB and 1", Errno.ENOMEM, DiagnosticReason.RequestTooLarge, () => access.WriteAsync(new Iova(Base), large).AsTask());
        await RefusedAsync("16 MiB", Errno.ENOENT, DiagnosticReason.IovaNotMapped, () => access.WriteAsync(new Iova(Base), large.AsMemory(1)).AsTask());
        await RefusedAsync("past the last IOVA", Errno.EOVERFLOW, DiagnosticReason.RangeOverflow, () => access.ReadAsync(new Iova(ulong.MaxValue), new byte[2]).AsTask());
    }

    [Fact]
    public async Task As_much_as_one_copy_may_have_is_copied()
    {
        var memory = Pages((int)(IoctlLimits.MaxAccessBytes / Page));
        await Context.MapAsync(Ioas, memory, new Iova(Base));
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory);
        var bytes = new byte[IoctlLimits.MaxAccessBytes];
        new Random(1).NextBytes(bytes);
        await access.WriteAsync(new Iova(Base), bytes);
        Assert.True(memory.Span.SequenceEqual(bytes), "16 MiB are written");
        var read = new byte[bytes.Length];
        await access.ReadAsync(new Iova(Base), read);
        Assert.True(read.AsSpan().SequenceEqual(bytes), "16 MiB are read");
    }

    [Fact]
    public async Task Memory_that_this_process_cannot_reach_is_EFAULT_after_what_lies_before_it()
    {
        var memory = Pages(1);
        await Context.MapAsync(Ioas, memory, new Iova(Base));
        await new RawProgram(Context).MapAsync(Ioas, 0x7000_0000, Page, Base + Page);
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory);

        var refused = await RefusedAsync("a write", Errno.EFAULT, DiagnosticReason.BufferFault, () => access.WriteAsync(new Iova(Base + Page - 10), Ones(30)).AsTask());

        Assert.Equal((10UL, 30UL), (refused.Diagnostic!.Value, refused.Diagnostic.Limit));
        Assert.Equal(Ones(10), memory[^10..].ToArray());
        await RefusedAsync("a read", Errno.EFAULT, DiagnosticReason.BufferFault, () => access.ReadAsync(new Iova(Base + Page), new byte[1]).AsTask());
        await using var without = await Driver.CreateAccessAsync(Ioas);
        await RefusedAsync("an access without memory", Errno.EFAULT, DiagnosticReason.BufferFault, () => without.ReadAsync(new Iova(Base), new byte[1]).AsTask());
    }

    [Fact]
    public async Task An_access_reaches_the_bytes_of_a_mapped_file()
    {
        var file = new UserFile("memfd:guest-ram", IsMemfd: true, 4 * Page);
        var content = new byte[4 * Page];
        var memory = new CallerMemory().AddFile(5, file, content);
        await Context.MapFileAsync(Ioas, file, offsetBytes: Page, lengthBytes: Page, iova: new Iova(Base));
        await using var access = await Driver.CreateAccessAsync(Ioas, memory);
        await access.WriteAsync(new Iova(Base + 7), Ones(3));
        Assert.Equal(Ones(3), content[(int)(Page + 7)..(int)(Page + 10)]);
        Assert.Equal(3, content.Count(value => value == 1));
    }

    [Fact]
    public async Task An_access_is_attached_replaced_and_detached()
    {
        var other = await Context.AllocateIoasAsync();
        await Context.MapAsync(Ioas, Pages(1), new Iova(Base));
        await using var access = await Driver.CreateAccessAsync(memory: Context.Memory, needsPinPages: true);
        await RefusedAsync("reading before", Errno.ENOENT, DiagnosticReason.AccessNotAttached, () => access.ReadAsync(new Iova(Base), new byte[1]).AsTask());
        await RefusedAsync("replacing nothing", Errno.ENOENT, DiagnosticReason.AccessNotAttached, () => access.ReplaceAsync(Ioas).AsTask());
        await RefusedAsync("detaching nothing", Errno.EINVAL, DiagnosticReason.AccessNotAttached, () => access.DetachAsync().AsTask());
        await RefusedAsync("attaching to nothing", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => access.AttachAsync(new ObjectId(77)).AsTask());

        await access.AttachAsync(Ioas);
        var pin = await access.PinAsync(Range(Base, Page));
        await RefusedAsync("attaching twice", Errno.EINVAL, DiagnosticReason.AccessAttached, () => access.AttachAsync(other).AsTask());
        await RefusedAsync("replacing by an access", Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, () => access.ReplaceAsync(access.Id).AsTask());
        await access.ReplaceAsync(Ioas);
        Assert.Equal(1, (await StateAsync<AccessState>(access.Id)).Pins);

        await access.ReplaceAsync(other);
        await RefusedAsync("a pin of the IOAS before", Errno.ENOENT, DiagnosticReason.PinNotFound, () => pin.UnpinAsync());
        Assert.Equal((other, 0), ((await StateAsync<AccessState>(access.Id)).Ioas, (await StateAsync<AccessState>(access.Id)).Pins));
        Assert.Equal((0, 0), ((await StateAsync<IoasState>(Ioas)).Accesses, (await StateAsync<IoasState>(Ioas)).Pins));
        await RefusedAsync("reading what the IOAS before maps", Errno.ENOENT, DiagnosticReason.IovaNotMapped, () => access.ReadAsync(new Iova(Base), new byte[1]).AsTask());

        await access.DetachAsync();
        await Context.DestroyAsync(Ioas);
        await Context.DestroyAsync(other);
    }

    [Fact]
    public async Task What_an_access_holds_is_EBUSY_to_DESTROY_and_so_is_the_access()
    {
        await using var access = await Driver.CreateAccessAsync(Ioas);
        var ofIoas = await RefusedAsync("DESTROY of the IOAS", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(Ioas).AsTask());
        Assert.Equal([(ObjectType.Access, access.Id)], ofIoas.Holders.Select(holder => (holder.Type, holder.Id)));
        var ofAccess = await RefusedAsync("DESTROY of the access", Errno.EBUSY, DiagnosticReason.ObjectHeld, () => Context.DestroyAsync(access.Id).AsTask());
        var driver = Assert.Single(ofAccess.Holders);
        Assert.Equal((ObjectType.Any, default), (driver.Type, driver.Id));
        Assert.Contains("vfio-pci", driver.Why, StringComparison.Ordinal);

        await access.DetachAsync();
        await Context.DestroyAsync(Ioas);
    }

    private static byte[] Ones(int count)
    {
        var bytes = new byte[count];
        bytes.AsSpan().Fill(1);
        return bytes;
    }
}
