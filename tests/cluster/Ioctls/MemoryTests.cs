using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.ClusterTests.Devices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using static IommuFd.Uapi.Errno;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>
/// When memory is looked at: when it is pinned, and not when it is mapped; page by page; in the program that has mapped it. The programs are clients
/// over the network.
/// </summary>
[Collection(DeviceCluster.Name)]
public sealed class MemoryTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const ulong Data = 0x7000_0000_0000;
    private const ulong Iova = 0x100_0000;
    private const int Memfd = 900;

    private static readonly UserFile EmptyMemfd = new("memfd 900", IsMemfd: true, 0);

    [Fact]
    public async Task Memory_that_went_after_it_was_mapped_can_t_be_attached()
    {
        var (program, ioas) = (new RawProgram(Context), Ioas);
        program.Memory.Add(Data, Bytes(2));
        await program.MapAsync(ioas, Data, 2 * Page, Iova);
        program.Memory.Remove(Data);

        await ExpectAttachAsync(program, ioas, EFAULT, "memory that was unmapped");

        program.Memory.Add(Data, Bytes(1));
        await ExpectAttachAsync(program, ioas, EFAULT, "memory whose second page is missing");

        program.Memory.Remove(Data);
        program.Memory.Add(Data, Bytes(2), MemoryAccess.Read);
        await ExpectAttachAsync(program, ioas, EFAULT, "memory that became read-only");

        program.Memory.Remove(Data);
        program.Memory.Add(Data, Bytes(2));
        await ExpectAttachAsync(program, ioas, None, "memory that came back");
    }

    [Fact]
    public async Task Memory_that_came_after_it_was_mapped_can_be_attached_and_pinned()
    {
        var (program, ioas) = (new RawProgram(Context), Ioas);
        await program.MapAsync(ioas, Data, 2 * Page, Iova);
        await ExpectAttachAsync(program, ioas, EFAULT, "memory that is not there yet");
        await ExpectPinAsync(ioas, Iova, 2 * Page, EFAULT, "memory that is not there yet");

        program.Memory.Add(Data, Bytes(2));
        await ExpectPinAsync(ioas, Iova, 2 * Page, None, "memory that came");
        await ExpectAttachAsync(program, ioas, None, "memory that came");
    }

    [Fact]
    public async Task A_memfd_is_as_long_as_it_is_when_it_is_pinned()
    {
        var (program, ioas) = (new RawProgram(Context), Ioas);
        program.Memory.AddFile(Memfd, EmptyMemfd);
        await MapFileAsync(program, ioas, Page, 2 * Page, Iova);
        await ExpectAttachAsync(program, ioas, EINVAL, "an empty memfd");

        program.Memory.Truncate(Memfd, (3 * Page) - 1);
        await ExpectAttachAsync(program, ioas, EINVAL, "a memfd that ends before the mapping does");

        program.Memory.Truncate(Memfd, 3 * Page);
        await ExpectAttachAsync(program, ioas, None, "a memfd that was extended");

        // A second IOAS pins for itself.
        var other = await IoasAsync(program);
        await MapFileAsync(program, other, 0, Page, Iova);
        program.Memory.Truncate(Memfd, 0);
        await ExpectAttachAsync(program, other, EINVAL, "a memfd that was cut");
    }

    [Fact]
    public async Task A_hole_hides_nothing_that_lies_behind_it()
    {
        var (program, ioas) = (new RawProgram(Context), Ioas);
        program.Memory.Add(Data, Bytes(1)).Add(Data + (2 * Page), Bytes(1));
        await program.MapAsync(ioas, Data, 3 * Page, Iova);

        await ExpectPinAsync(ioas, Iova, Page, None, "the page before the hole");
        await ExpectPinAsync(ioas, Iova + Page, Page, EFAULT, "the hole");
        await ExpectPinAsync(ioas, Iova + (2 * Page), Page, None, "the page behind the hole");

        var destination = await IoasAsync(program);
        await program.MockDomainAsync(destination);
        await ExpectCopyAsync(program, ioas, Iova + (2 * Page), destination, None, "the page behind the hole");
        await ExpectCopyAsync(program, ioas, Iova + Page, destination, EFAULT, "the hole");
        await ExpectAttachAsync(program, ioas, EFAULT, "memory with a hole");
    }

    [Fact]
    public async Task What_is_pinned_stays_pinned_whatever_becomes_of_the_memory()
    {
        var (program, ioas) = (new RawProgram(Context), Ioas);
        program.Memory.Add(Data, Bytes(4));
        await program.MapAsync(ioas, Data, 4 * Page, Iova);
        await ExpectPinAsync(ioas, Iova + Page, 2 * Page, None, "memory that is there");
        program.Memory.Remove(Data);

        await ExpectPinAsync(ioas, Iova + (2 * Page), Page, None, "a page that another pin has");
        await ExpectPinAsync(ioas, Iova, Page, EFAULT, "a page that nobody has pinned");

        // Copies of a mapping share its pages, and so the pins.
        var copy = await IoasAsync(program);
        await CopyAsync(program, ioas, Iova + Page, copy, 2 * Page);
        await ExpectAttachAsync(program, copy, None, "pages that are pinned through another IOAS");
        await ExpectAttachAsync(program, copy, None, "pages that another domain has pinned");
        await ExpectAttachAsync(program, ioas, EFAULT, "pages of which some are not pinned");
    }

    [Fact]
    public async Task The_program_that_has_mapped_is_asked_and_not_the_one_that_attaches()
    {
        var (mapper, ioas) = (new RawProgram(Context), Ioas);
        mapper.Memory.Add(Data, Bytes(1));
        await mapper.MapAsync(ioas, Data, Page, Iova);
        await using var duplicate = await Cluster.Onlookers.DuplicateAsync(Context.Handle);
        var other = new RawProgram(duplicate);

        await ExpectAttachAsync(other, ioas, None, "memory that the mapper has");

        var second = await IoasAsync(mapper);
        await mapper.MapAsync(second, Data, Page, Iova);
        mapper.Memory.Remove(Data);
        other.Memory.Add(Data, Bytes(1));
        await ExpectAttachAsync(other, second, EFAULT, "memory that the attacher has at the same address");
    }

    [Fact]
    public async Task The_same_address_of_two_programs_is_not_the_same_memory()
    {
        await using var duplicate = await Cluster.Onlookers.DuplicateAsync(Context.Handle);
        var (mapper, other, ioas) = (new RawProgram(Context), new RawProgram(duplicate), Ioas);
        var domain = await mapper.MockDomainAsync(ioas);
        mapper.Memory.Add(Data, Bytes(1));
        other.Memory.Add(Data, Bytes(1));
        await mapper.MapAsync(ioas, Data, Page, Iova);

        var check = new IommuTestCheckMap { Iova = Iova, Length = Page, Uptr = Data };
        await mapper.ExpectAsync("in the mapper", None, IommuTestOp.MdCheckMap, domain.OutHwptId, check);
        await other.ExpectAsync("in another program", EINVAL, IommuTestOp.MdCheckMap, domain.OutHwptId, check);
        await mapper.ExpectAsync("in the mapper", None, IommuTestOp.MdCheckRefs, 0, new IommuTestCheckRefs { Length = Page, Uptr = Data, Refs = 1 });
        await other.ExpectAsync("in another program", None, IommuTestOp.MdCheckRefs, 0, new IommuTestCheckRefs { Length = Page, Uptr = Data, Refs = 0 });
    }

    [Fact]
    public async Task Pages_of_a_memfd_are_the_same_by_the_file_and_at_every_address_where_it_is_mapped()
    {
        var (program, ioas) = (new RawProgram(Context), Ioas);
        program.Memory.AddFile(Memfd, EmptyMemfd with { LengthBytes = 4 * Page }, Bytes(4)).MapFile(Data, Memfd).MapFile(2 * Data, Memfd);
        await MapFileAsync(program, ioas, Page, Page, Iova);
        await program.MapAsync(ioas, Data + (2 * Page), Page, Iova + Page);
        var domain = await program.MockDomainAsync(ioas);

        foreach (var address in (ulong[])[Data, 2 * Data])
        {
            foreach (var page in (ulong[])[1, 2])
            {
                var check = new IommuTestCheckMap { Iova = Iova + ((page - 1) * Page), Length = Page, Uptr = address + (page * Page) };
                await program.ExpectAsync($"page {page} at 0x{address:X}", None, IommuTestOp.MdCheckMap, domain.OutHwptId, check);
                await program.ExpectAsync($"page {page} at 0x{address:X}, a page further", EINVAL, IommuTestOp.MdCheckMap, domain.OutHwptId, check with { Uptr = check.Uptr + Page });
                await program.ExpectAsync($"page {page} at 0x{address:X}", None, IommuTestOp.MdCheckRefs, 0, new IommuTestCheckRefs { Length = Page, Uptr = check.Uptr, Refs = 1 });
                await ExpectPagesAsync(program, ioas, check.Iova, check.Uptr, None, $"page {page} at 0x{address:X}");
                await ExpectPagesAsync(program, ioas, check.Iova, address, EBADE, $"page {page} at 0x{address:X}, compared with page 0");
            }
        }
    }

    [Fact]
    public async Task Memory_whose_program_does_not_know_it_any_more_is_as_it_was_when_it_was_mapped()
    {
        var (program, ioas) = (new RawProgram(Context), Ioas);
        var forgotten = await MapAndForgetAsync(program, ioas);
        for (var i = 0; i < 100 && forgotten.TryGetTarget(out _); i++)
        {
            await IoasAsync(program);
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.False(forgotten.TryGetTarget(out _), "the memory was collected");
        await ExpectAttachAsync(program, ioas, None, "memory that was there when it was mapped");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<WeakReference<CallerMemory>> MapAndForgetAsync(RawProgram program, ObjectId ioas)
    {
        var memory = new CallerMemory().Add(Data, Bytes(1));
        var map = new IommuIoasMap { Size = 40, Flags = 7, IoasId = ioas.Value, UserVa = Data, Length = Page, Iova = Iova };
        (await program.Context.IoctlAsync((uint)IommuCommand.IoasMap, UapiStruct.ToBytes(map), memory)).ThrowIfFailed();
        return new WeakReference<CallerMemory>(memory);
    }

    private static async Task<ObjectId> IoasAsync(RawProgram program) => new((await program.IoctlAsync(IommuCommand.IoasAlloc, default(IommuIoasAlloc))).OutIoasId);

    private static Task<IommuIoasMapFile> MapFileAsync(RawProgram program, ObjectId ioas, ulong start, ulong length, ulong iova)
        => program.IoctlAsync(IommuCommand.IoasMapFile, new IommuIoasMapFile { Flags = 7, IoasId = ioas.Value, Fd = Memfd, Start = start, Length = length, Iova = iova });

    private static Task<IommuIoasCopy> CopyAsync(RawProgram program, ObjectId source, ulong iova, ObjectId destination, ulong length)
        => program.IoctlAsync(
            IommuCommand.IoasCopy,
            new IommuIoasCopy { Flags = 7, SrcIoasId = source.Value, SrcIova = iova, DstIoasId = destination.Value, DstIova = iova, Length = length });

    private static async Task ExpectCopyAsync(RawProgram program, ObjectId source, ulong iova, ObjectId destination, Errno expected, string what)
    {
        var copy = new IommuIoasCopy { Size = 40, Flags = 7, SrcIoasId = source.Value, SrcIova = iova, DstIoasId = destination.Value, DstIova = iova, Length = Page };
        var result = await program.Context.IoctlAsync((uint)IommuCommand.IoasCopy, UapiStruct.ToBytes(copy), program.Memory);
        Assert.True(result.Errno == expected, $"copying {what}: expected {expected}, was {result.Errno}");
    }

    private static Task ExpectAttachAsync(RawProgram program, ObjectId ioas, Errno expected, string what)
        => program.ExpectAsync(what, expected, IommuTestOp.MockDomain, ioas.Value, default(IommuTestMockDomain));

    // By a driver, which compares nothing.
    private async Task ExpectPinAsync(ObjectId ioas, ulong iova, ulong length, Errno expected, string what)
    {
        var access = await Driver.CreateAccessAsync(ioas, needsPinPages: true);
        var errno = None;
        try
        {
            await access.PinAsync(Range(iova, length));
        }
        catch (IommufdException exception)
        {
            errno = exception.Errno;
        }

        Assert.True(errno == expected, $"pinning {what}: expected {expected}, was {errno}");
    }

    // By the selftest, which compares.
    private static async Task ExpectPagesAsync(RawProgram program, ObjectId ioas, ulong iova, ulong address, Errno expected, string what)
    {
        var access = await program.CreateAccessAsync(ioas, IommuTestCreateAccessFlags.NeedsPinPages);
        await program.ExpectAsync(what, expected, IommuTestOp.AccessPages, access, new IommuTestAccessPages { Flags = 1, Iova = iova, Length = Page, Uptr = address });
    }

    private static byte[] Bytes(int pages) => new byte[pages * (int)Page];
}
