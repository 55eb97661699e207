using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// The files of a simulated program: those it has opened itself, to map, and those that ioctls have opened.

public sealed class CallerFilesTests
{
    private static readonly UserFile Memfd = new("memfd:ram", IsMemfd: true, 1 << 20);
    private static readonly MappedFile MappedMemfd = new("memfd:ram");
    private readonly FakeContextGrain _grain = new();

    [Fact]
    public async Task A_file_that_an_ioctl_opens_gets_the_lowest_free_descriptor()
    {
        var memory = new CallerMemory().AddFile(4, Memfd);
        Expect.Sequence([3, 5, 6], new[] { 1L, 2, 3 }.Select(reference => memory.InstallFile(Opened(reference))), "descriptors beside the open 4");
        await memory.CloseFileAsync(5);
        await memory.CloseFileAsync(4);
        Expect.Sequence([4, 5, 7], new[] { 4L, 5, 6 }.Select(reference => memory.InstallFile(Opened(reference))), "descriptors when 4 and 5 are closed");
    }

    [Fact]
    public async Task A_program_can_want_every_file_to_get_a_descriptor_of_its_own()
    {
        var memory = new CallerMemory { FirstFileDescriptor = 1000, ReusesFileDescriptors = false }.AddFile(1001, Memfd);
        Expect.Sequence([1000, 1002], new[] { 1L, 2 }.Select(reference => memory.InstallFile(Opened(reference))), "descriptors beside the open 1001");
        await memory.CloseFilesAsync();
        Expect.Sequence([1003, 1004], new[] { 3L, 4 }.Select(reference => memory.InstallFile(Opened(reference))), "descriptors when all are closed");
    }

    [Fact]
    public void An_opened_file_is_found_by_its_descriptor_and_no_other_is()
    {
        var memory = new CallerMemory().AddFile(3, Memfd);
        var opened = Opened(8);
        Expect.Equal(opened, memory.FindOpenedFile(memory.InstallFile(opened)), "the file that an ioctl has opened");
        Expect.Equal((null, null), (memory.FindOpenedFile(3), memory.FindOpenedFile(7)), "a file of the program's own, and none");
    }

    [Fact]
    public void Descriptors_start_where_the_program_says()
    {
        var memory = new CallerMemory { FirstFileDescriptor = 100 };
        Expect.Equal((100, 101), (memory.InstallFile(Opened(1)), memory.InstallFile(Opened(2))), "the first two descriptors");
        Expect.Equal(null, memory.FindFile(3), "the file of a descriptor below");
    }

    [Fact]
    public async Task A_descriptor_leads_to_its_file_until_it_is_closed()
    {
        var memory = new CallerMemory();
        var opened = Opened(8);
        var fileDescriptor = memory.InstallFile(opened);
        Expect.Equal(opened.File, memory.FindFile(fileDescriptor), "the file of the descriptor");
        Expect.Equal(0, _grain.Calls.Count, "calls while it is open");

        Expect.That(await memory.CloseFileAsync(fileDescriptor), $"Descriptor {fileDescriptor} is not open.");

        Expect.Sequence<object>([new ReferenceId(8)], _grain.Calls, "the references that the close has put");
        Expect.Equal(null, memory.FindFile(fileDescriptor), "the file of the closed descriptor");
        Expect.Equal(false, await memory.CloseFileAsync(fileDescriptor), "whether it is open when it is closed again");
        Expect.Equal(1, _grain.Calls.Count, "calls after closing it again");
    }

    [Fact]
    public async Task A_file_that_was_closed_is_not_closed_again_by_its_descriptor()
    {
        var memory = new CallerMemory();
        var opened = Opened(8);
        var fileDescriptor = memory.InstallFile(opened);
        await opened.CloseAsync();
        await memory.CloseFileAsync(fileDescriptor);
        Expect.Sequence<object>([new ReferenceId(8)], _grain.Calls, "the references that were put");
    }

    [Fact]
    public async Task The_end_of_a_program_closes_every_file()
    {
        var memory = new CallerMemory().AddFile(3, Memfd);
        foreach (var reference in (long[])[1, 2, 3])
        {
            memory.InstallFile(Opened(reference));
        }

        await memory.CloseFilesAsync();

        Expect.Sequence<object>([new ReferenceId(1), new ReferenceId(2), new ReferenceId(3)], _grain.Calls, "the references that were put");
        Expect.Equal(null, memory.FindFile(3), "the file of a descriptor that the program has opened itself");
    }

    [Fact]
    public void A_descriptor_is_opened_once()
        => Assert.Throws<ArgumentException>(() => new CallerMemory().AddFile(3, Memfd).AddFile(3, Memfd));

    [Theory]
    [InlineData(0UL, 4, "01020304")]
    [InlineData(2UL, 4, "0304")]
    [InlineData(3UL, 1, "04")]
    [InlineData(4UL, 1, "")]
    [InlineData(ulong.MaxValue, 1, "")]
    public void A_file_is_read_from_an_offset_to_its_end(ulong offset, int length, string expected)
    {
        var bytes = new byte[length];
        var count = new CallerMemory().AddFile(9, Memfd, new byte[] { 1, 2, 3, 4 }).ReadFile(MappedMemfd, offset, bytes);
        Expect.Sequence(Convert.FromHexString(expected), bytes[..count], $"{length} bytes at {offset}");
    }

    [Theory]
    [InlineData(0UL, 2, "08080304")]
    [InlineData(2UL, 4, "01020808")]
    [InlineData(4UL, 1, "01020304")]
    [InlineData(ulong.MaxValue, 1, "01020304")]
    public void A_file_is_written_from_an_offset_to_its_end(ulong offset, int length, string expected)
    {
        byte[] content = [1, 2, 3, 4];
        var source = new byte[length];
        source.AsSpan().Fill(8);
        new CallerMemory().AddFile(9, Memfd, content).WriteFile(MappedMemfd, offset, source);
        Expect.Sequence(Convert.FromHexString(expected), content, $"the file after {length} bytes at {offset}");
    }

    [Fact]
    public void Descriptors_of_one_file_lead_to_the_same_bytes_and_a_file_without_bytes_has_none()
    {
        byte[] content = [1, 2];
        var memory = new CallerMemory().AddFile(3, Memfd).AddFile(4, Memfd, content).AddFile(5, new UserFile("memfd:other", IsMemfd: true, 8));
        Expect.Equal(2, memory.WriteFile(MappedMemfd, 0, [7, 8, 9]), "bytes written to a file of 2, of which the first descriptor has no bytes");
        Expect.Sequence<byte>([7, 8], content, "its bytes");
        Expect.Equal(0, memory.ReadFile(new MappedFile("memfd:other"), 0, new byte[1]), "bytes read of a file that came without");
        Expect.Equal(0, memory.ReadFile(new MappedFile("memfd:closed"), 0, new byte[1]), "bytes read of a file that isn't open");
    }

    private IommuFile Opened(long reference)
    {
        var handle = ContextHandle.NewRandom();
        var target = new FileTarget(handle.Key, new ReferenceId(reference), ObjectType.Access, new ObjectId((uint)reference));
        var core = new ClientCore(_grain.Channel, new IommufdClientOptions());
        return new IommuFile(UserFile.Of(target), core.Grain(handle), core, TimeSpan.Zero);
    }
}
