using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// Ioctls that open a file, and ioctls on such a file: the service only says what the file leads to, descriptors are the caller's side's.

public sealed class OpenedFilesTests
{
    private const uint TestCmd = (uint)IommuCommand.TestCmd;
    private static readonly ContextHandle Other = new(new Guid("00112233-4455-6677-8899-aabbccddeeff"));
    private readonly FakeContextGrain _grain = new();
    private readonly IommufdClient _client;

    public OpenedFilesTests()
    {
        _client = new IommufdClient(_grain.Channel);
        _grain.Ioctl = _ => new IoctlReply { File = new NewFile(16, TargetIn(Other)) };
    }

    [Fact]
    public async Task A_file_that_an_ioctl_opens_gets_a_descriptor_which_is_written_into_the_argument()
    {
        var context = await _client.OpenAsync();
        var memory = new CallerMemory();
        foreach (var expected in (byte[])[3, 4])
        {
            var argument = CreateAccess();
            Expect.Equal(Errno.None, (await context.IoctlAsync(TestCmd, argument, memory)).Errno, $"the ioctl that opens file {expected}");
            Expect.Sequence<byte>([expected, 0, 0, 0], argument[16..20], "the descriptor in the argument");
            Expect.Equal(FileOf(Other) with { Handle = context.Handle }, memory.FindFile(expected), $"the file of descriptor {expected}");
        }

        await memory.CloseFileAsync(3);
        Expect.Equal(context.Handle, _grain.Handles[^1], "the context whose reference is put by closing the descriptor");
        Expect.Sequence([new ReferenceId(9)], _grain.Calls.OfType<ReferenceId>(), "the references that were put");
    }

    [Fact]
    public async Task Without_a_descriptor_to_give_the_ioctl_is_EMFILE_and_the_file_is_closed_again()
    {
        var context = await _client.OpenAsync();
        (string Memory, Func<Task<IoctlResult>> Run)[] all =
        [
            ("none", () => context.IoctlAsync(TestCmd, CreateAccess()).AsTask()),
            ("pinned memory", () => context.IoctlAsync(TestCmd, CreateAccess(), context.Memory).AsTask()),
            ("none, for a struct", () => context.IoctlAsync(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.CreateAccess }).AsTask()),
        ];
        foreach (var (memory, run) in all)
        {
            _grain.Calls.Clear();
            Expect.Equal(Errno.EMFILE, (await run()).Errno, $"an ioctl that opens a file, with the memory: {memory}");
            Expect.Sequence([new ReferenceId(9)], _grain.Calls.OfType<ReferenceId>(), $"the references that were put, with the memory: {memory}");
        }
    }

    [Fact]
    public async Task In_a_batch_each_file_gets_its_descriptor_or_is_EMFILE_by_itself()
    {
        var context = await _client.OpenAsync();
        var argument = CreateAccess();
        var memory = new CallerMemory().Add(0x1000, argument);
        var opens = new IoctlReply { File = new NewFile(16, TargetIn(Other)) };
        _grain.Batch = new IoctlBatchReply { Replies = [opens, opens] };

        var results = await context.CreateBatch()
            .Add(TestCmd, 0x1000, memory)
            .Add(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.CreateAccess })
            .RunAsync();

        Expect.Sequence([Errno.None, Errno.EMFILE], results.Select(result => result.Errno), "the errnos with and without memory");
        Expect.Equal(3, argument[16], "the descriptor of the first");
        Expect.Sequence([new ReferenceId(9)], _grain.Calls.OfType<ReferenceId>(), "the references that were put, of the second");
    }

    [Fact]
    public async Task A_failed_close_does_not_hide_EMFILE()
    {
        var context = await _client.OpenAsync();
        _grain.Errno = Errno.EBADF;
        Expect.Equal(Errno.EMFILE, (await context.IoctlAsync(TestCmd, CreateAccess())).Errno, "an ioctl whose file can't be closed either");
    }

    [Fact]
    public async Task An_ioctl_on_a_file_goes_to_the_context_that_the_file_leads_to()
    {
        var context = await _client.OpenAsync();
        _grain.Ioctl = _ => IoctlReply.Success;
        var memory = new CallerMemory().AddFile(5, FileOf(Other)).AddFile(6, FileOf(context.Handle));
        foreach (var op in (IommuTestOp[])[IommuTestOp.AccessPages, IommuTestOp.AccessRw, IommuTestOp.DestroyAccessPages, IommuTestOp.AccessReplaceIoas])
        {
            _grain.Handles.Clear();
            await context.IoctlAsync(TestCmd, Argument(op, fileDescriptor: 5), memory);
            Expect.Sequence([Other], _grain.Handles, $"the contexts looked up for {op} on a file of another");
            Expect.Equal(FileOf(Other), ((IoctlRequest)_grain.Calls[^1]).File, $"the file that {op} travels with");

            await context.IoctlAsync(TestCmd, Argument(op, fileDescriptor: 6), memory);
            await context.IoctlAsync(TestCmd, Argument(op, fileDescriptor: 7), memory);
            Expect.Equal(1, _grain.Handles.Count, $"the contexts looked up when {op} is on a file of its own, and on none");
            Expect.Equal(null, ((IoctlRequest)_grain.Calls[^1]).File, $"the file that {op} on a closed descriptor travels with");
        }
    }

    [Fact]
    public async Task An_ioctl_that_only_uses_a_file_goes_to_its_own_context()
    {
        var context = await _client.OpenAsync();
        _grain.Ioctl = _ => IoctlReply.Success;
        _grain.Handles.Clear();
        var argument = UapiStruct.ToBytes(new IommuIoasMapFile { Size = 40, Fd = 5 });
        await context.IoctlAsync((uint)IommuCommand.IoasMapFile, argument, new CallerMemory().AddFile(5, FileOf(Other)));
        Expect.Sequence([], _grain.Handles, "other contexts that were looked up");
        Expect.Equal(FileOf(Other), ((IoctlRequest)_grain.Calls[^1]).File, "the file that MAP_FILE travels with");
    }

    [Fact]
    public async Task An_op_whose_id_is_an_object_does_not_travel_with_a_file()
    {
        var context = await _client.OpenAsync();
        _grain.Ioctl = _ => IoctlReply.Success;
        await context.IoctlAsync(TestCmd, Argument(IommuTestOp.MdCheckMap, fileDescriptor: 5), new CallerMemory().AddFile(5, FileOf(Other)));
        Expect.Equal(null, ((IoctlRequest)_grain.Calls[^1]).File, "the file that MD_CHECK_MAP travels with");
    }

    private static UserFile FileOf(ContextHandle context) => UserFile.Of(TargetIn(context)) with { Handle = context };

    // Of no particular kind: the SDK treats all alike.
    private static FileTarget TargetIn(ContextHandle context) => new(context.Key, new ReferenceId(9), (ObjectType)1000, new ObjectId(1));

    private static byte[] CreateAccess() => Argument(IommuTestOp.CreateAccess, 0);

    private static byte[] Argument(IommuTestOp op, uint fileDescriptor)
        => UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)op, Id = fileDescriptor });
}
