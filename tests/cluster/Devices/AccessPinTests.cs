using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Devices;

/// <summary>What accesses pin, and what ends a pin.</summary>
[Collection(DeviceCluster.Name)]
public sealed class AccessPinTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    [Fact]
    public async Task A_pin_says_where_the_memory_is_and_lasts_until_it_is_unpinned()
    {
        await Context.MapAsync(Ioas, Pages(2), new Iova(Base));
        await Context.MapAsync(Ioas, Pages(1), new Iova(Base + (2 * Page)), DmaAccess.Read);
        var areas = (await StateAsync<IoasState>(Ioas)).Areas;
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory, needsPinPages: true);

        var pin = await access.PinAsync(Range(Base + Page, 2 * Page));
        Assert.Equal([new UserMemoryPiece(null, areas[0].Address + Page, Page), new UserMemoryPiece(null, areas[1].Address, Page)], pin.Memory);
        var second = await access.PinAsync(Range(Base, Page), write: true);
        var state = await StateAsync<AccessState>(access.Id);
        Assert.Equal(new AccessState(state.Driver, Ioas, NeedsPinPages: true, Pins: 2, PinnedBytes: 3 * Page), state);
        Assert.Contains("vfio-pci", state.Driver, StringComparison.Ordinal);
        Assert.Equal(2, (await StateAsync<IoasState>(Ioas)).Pins);

        await pin.UnpinAsync();
        await RefusedAsync("unpinning twice", Errno.ENOENT, DiagnosticReason.PinNotFound, () => pin.UnpinAsync());
        await second.DisposeAsync();
        Assert.Equal(0, (await StateAsync<AccessState>(access.Id)).Pins);
    }

    [Fact]
    public async Task What_cannot_be_pinned_is_refused_and_nothing_is_pinned()
    {
        await Context.MapAsync(Ioas, Pages(2), new Iova(Base));
        await Context.MapAsync(Ioas, Pages(1), new Iova(Base + (2 * Page)), DmaAccess.Read);
        await new RawProgram(Context).MapAsync(Ioas, 0x7000_0000, Page, Base + (3 * Page));
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory, needsPinPages: true);
        await using var copying = await Driver.CreateAccessAsync(Ioas, Context.Memory);
        await using var detached = await Driver.CreateAccessAsync(needsPinPages: true);
        (string What, Errno Errno, DiagnosticReason Reason, IommuAccess Access, IovaRange Range, bool Write)[] all =
        [
            ("by an access that does not pin", Errno.EINVAL, DiagnosticReason.AccessDoesNotPin, copying, Range(Base, Page), false),
            ("by an access that is not attached", Errno.ENOENT, DiagnosticReason.AccessNotAttached, detached, Range(Base, Page), false),
            ("within a page", Errno.EINVAL, DiagnosticReason.MisalignedMemory, access, Range(Base + 1, Page), false),
            ("what is not mapped", Errno.ENOENT, DiagnosticReason.IovaNotMapped, access, Range(Base - Page, Page), false),
            ("read-only, to write", Errno.EPERM, DiagnosticReason.AccessDenied, access, Range(Base, 3 * Page), true),
            ("memory that isn't there", Errno.EFAULT, DiagnosticReason.MemoryNotPinnable, access, Range(Base, 4 * Page), false),
            ("more than a pin may have", Errno.ENOMEM, DiagnosticReason.RequestTooLarge, access, Range(Base, IoctlLimits.MaxAccessBytes + 1), false),
        ];
        foreach (var (what, errno, reason, by, range, write) in all)
        {
            await RefusedAsync(what, errno, reason, () => by.PinAsync(range, write).AsTask());
            Assert.Equal(0, (await StateAsync<IoasState>(Ioas)).Pins);
        }
    }

    [Fact]
    public async Task Unmapping_revokes_the_pins_that_it_touches_and_no_other()
    {
        await Context.MapAsync(Ioas, Pages(2), new Iova(Base));
        await Context.MapAsync(Ioas, Pages(2), new Iova(Base + (2 * Page)));
        await using var access = await Driver.CreateAccessAsync(Ioas, Context.Memory, needsPinPages: true);
        var low = await access.PinAsync(Range(Base, Page));
        var across = await access.PinAsync(Range(Base + Page, 2 * Page));
        var high = await access.PinAsync(Range(Base + (3 * Page), Page));

        Assert.Equal(2 * Page, await Context.UnmapAsync(Ioas, Range(Base, 2 * Page)));

        foreach (var (what, pin) in new[] { ("in it", low), ("that reaches into it", across) })
        {
            await RefusedAsync($"the pin {what}", Errno.ENOENT, DiagnosticReason.PinNotFound, () => pin.UnpinAsync());
        }

        Assert.Equal(1, (await StateAsync<AccessState>(access.Id)).Pins);
        await high.UnpinAsync();
        Assert.Equal(2 * Page, await Context.UnmapAsync(Ioas, IovaRange.All));
    }

    [Fact]
    public async Task Detaching_and_destroying_an_access_drops_its_pins()
    {
        await Context.MapAsync(Ioas, Pages(1), new Iova(Base));
        var before = await SnapshotAsync();
        var access = await Driver.CreateAccessAsync(Ioas, Context.Memory, needsPinPages: true);
        await access.PinAsync(Range(Base, Page));
        await access.DetachAsync();
        Assert.Equal(0, (await StateAsync<IoasState>(Ioas)).Pins);
        await access.AttachAsync(Ioas);
        await access.PinAsync(Range(Base, Page));

        await access.DestroyAsync();

        Assert.Equal(before, await SnapshotAsync());
        await RefusedAsync("destroying twice", Errno.ENOENT, DiagnosticReason.ObjectNotFound, () => access.DestroyAsync());
    }

    [Fact]
    public async Task An_access_that_pins_needs_areas_of_whole_pages_and_keeps_them_so()
    {
        await Context.MapAsync(Ioas, Pages(1)[..100], new Iova(Base));
        var before = await SnapshotAsync();
        await RefusedAsync("an area of 100 bytes", Errno.EADDRINUSE, DiagnosticReason.AreasMisaligned, () => Driver.CreateAccessAsync(Ioas, needsPinPages: true));
        Assert.Equal(before, await SnapshotAsync());
        await using (await Driver.CreateAccessAsync(Ioas))
        {
            Assert.Equal(1UL, (await StateAsync<IoasState>(Ioas)).Alignment);
        }

        await Context.UnmapAsync(Ioas, IovaRange.All);
        await using (await Driver.CreateAccessAsync(Ioas, needsPinPages: true))
        {
            await RefusedAsync("mapping 100 bytes", Errno.EINVAL, DiagnosticReason.MisalignedLength, () => Context.MapAsync(Ioas, Pages(1)[..100], new Iova(Base)).AsTask());
        }

        await Context.MapAsync(Ioas, Pages(1)[..100], new Iova(Base));
    }
}
