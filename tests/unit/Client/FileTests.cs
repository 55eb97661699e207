using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// Reads, writes and polls of a file that an ioctl has opened: what the SDK tells of the caller's memory, and what it believes of the answers.

public sealed class FileTests
{
    private const ulong Address = 0x1000;
    private readonly FakeContextGrain _grain = new();

    [Fact]
    public async Task A_read_tells_how_much_can_be_written_and_writes_what_was_read()
    {
        var file = Open();
        byte[] bytes = [9, 9, 9, 9];
        _grain.File = _ => new FileReply(Errno.None, 3, [1, 2, 3]);

        var result = await file.ReadAsync(Address, 8, new CallerMemory().Add(Address, bytes));

        Expect.Equal(new ReadFileRequest(8, 4), Sent<ReadFileRequest>(), "the read of 8 bytes, of which 4 can be written");
        Expect.Equal(new FileResult("read", Errno.None, 3, null), result, "the answer");
        Expect.Sequence<byte>([1, 2, 3, 9], bytes, "the memory");
    }

    [Fact]
    public async Task A_buffer_that_can_not_be_written_is_told_of_as_that()
    {
        var file = Open();
        _grain.File = _ => new FileReply(Errno.EFAULT);
        Expect.Equal(Errno.EFAULT, (await file.ReadAsync(Address, 8, new CallerMemory().Add(Address, new byte[8], MemoryAccess.Read))).Errno, "the read");
        Expect.Equal(new ReadFileRequest(8, 0), Sent<ReadFileRequest>(), "the read into memory that can't be written");
        await file.ReadAsync(Address, ulong.MaxValue, new CallerMemory());
        Expect.Equal(new ReadFileRequest(ulong.MaxValue, 0), Sent<ReadFileRequest>(), "the largest read, into nothing");
    }

    [Fact]
    public async Task A_write_sends_what_can_be_read_with_the_whole_count()
    {
        var file = Open();
        _grain.File = request => new FileReply(Errno.None, ((WriteFileRequest)request).Content.Length);
        foreach (var (length, count, sent) in new (int, ulong, int)[]
        {
            (4, 4, 4), (4, 8, 4), (8, 4, 4), (4, 0, 0), (IoctlLimits.MaxBufferBytes + 1, IoctlLimits.MaxBufferBytes + 1, IoctlLimits.MaxBufferBytes), (4, ulong.MaxValue, 4),
        })
        {
            var bytes = new byte[length];
            bytes.AsSpan().Fill(7);
            var result = await file.WriteAsync(Address, count, new CallerMemory().Add(Address, bytes, MemoryAccess.Read));
            Expect.Equal(new FileResult("write", Errno.None, sent, null), result, $"the answer to a write of {count} bytes");
            Expect.Equal(count, Sent<WriteFileRequest>().Count, "its count");
            Expect.Sequence(bytes[..sent], Sent<WriteFileRequest>().Content, $"what is sent of {length} bytes for a write of {count}");
        }

        await file.WriteAsync(Address, 4, new CallerMemory());
        Expect.Equal((4UL, 0), (Sent<WriteFileRequest>().Count, Sent<WriteFileRequest>().Content.Length), "count and content of a write that can't be read");
    }

    [Fact]
    public async Task Buffers_need_no_address()
    {
        var file = Open();
        var buffer = new byte[4];
        _grain.File = _ => new FileReply(Errno.None, 2, [5, 6]);
        await file.ReadAsync(buffer);
        Expect.Equal(new ReadFileRequest(4, 4), Sent<ReadFileRequest>(), "the read");
        Expect.Sequence<byte>([5, 6, 0, 0], buffer, "the buffer");
        _grain.File = _ => new FileReply(Errno.None, 4);
        await file.WriteAsync(buffer);
        Expect.Sequence(buffer, Sent<WriteFileRequest>().Content, "what was written");
    }

    [Fact]
    public async Task An_answer_that_can_not_be_is_not_believed()
    {
        var file = Open();
        var bytes = new byte[8];
        foreach (var reply in new FileReply[]
        {
            new(Errno.None, 5, new byte[5]), new(Errno.None, 4, new byte[3]), new(Errno.None, 3), new(Errno.None, 0, [1]), new(Errno.None, -1), new(Errno.None, int.MinValue, []),
        })
        {
            _grain.File = _ => reply;
            await Assert.ThrowsAsync<InvalidDataException>(() => file.ReadAsync(Address, 4, new CallerMemory().Add(Address, bytes)).AsTask());
            Expect.Sequence(new byte[8], bytes, $"the memory after {reply}");
        }

        foreach (var count in (int[])[5, -1, int.MinValue, int.MaxValue])
        {
            _grain.File = _ => new FileReply(Errno.None, count);
            await Assert.ThrowsAsync<InvalidDataException>(() => file.WriteAsync(new byte[4]).AsTask());
        }
    }

    [Fact]
    public async Task A_failure_is_answered_and_thrown_when_asked()
    {
        var file = Open();
        _grain.File = _ => new FileReply(Errno.ESPIPE, Diagnostic: new IoctlDiagnostic { Reason = DiagnosticReason.PartialRecord, Value = 3, Limit = 8 });
        var result = await file.ReadAsync(new byte[3]);
        Expect.Equal((Errno.ESPIPE, 0, false), (result.Errno, result.Count, result.Succeeded), "the answer");
        var thrown = Assert.Throws<IommufdException>(() => result.ThrowIfFailed());
        Expect.Equal(("read", Errno.ESPIPE, DiagnosticReason.PartialRecord), (thrown.Operation, thrown.Errno, thrown.Diagnostic!.Reason), "what is thrown");
        Expect.Equal("write", Assert.Throws<IommufdException>(() => new FileResult("write", Errno.EINVAL, 0, null).ThrowIfFailed()).Operation, "the operation of a write");
    }

    [Fact]
    public async Task Reads_and_writes_are_numbered_in_the_session_that_the_service_knows()
    {
        var file = Open();
        await file.ReadAsync(new byte[4]);
        await file.WriteAsync(new byte[4]);
        var session = FileTarget.SessionOf(file.Target.Reference);
        Expect.Sequence([new OperationId(session, 1, 0), new OperationId(session, 2, 1)], _grain.Operations, "the names");
        Expect.That(_grain.Calls.TrueForAll(call => (((FileTarget, FileRequest))call).Item1 == file.Target), "A request does not name the file's target.");
    }

    [Fact]
    public async Task A_request_that_was_cancelled_before_is_not_sent()
    {
        var file = Open();
        var cancelled = new CancellationToken(canceled: true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => file.ReadAsync(new byte[4], cancelled).AsTask());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => file.WriteAsync(new byte[4], cancelled).AsTask());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => file.PollAsync(default, cancelled).AsTask());
        Expect.Equal(0, _grain.Calls.Count, "calls");
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(-5, "0")]
    [InlineData(300, "300")]
    [InlineData(1_000, "500 500")]
    [InlineData(1_250, "500 500 250")]
    public async Task A_long_poll_is_several_calls(int waitMs, string expected)
    {
        var events = await Open().PollAsync(TimeSpan.FromMilliseconds(waitMs));
        Expect.Equal(PollEvents.None, events, "the events");
        Expect.Equal(expected, string.Join(' ', Waits()), $"milliseconds that the calls of a poll of {waitMs} ms wait");
    }

    [Fact]
    public async Task A_call_of_a_poll_is_shorter_than_an_attempt()
    {
        await Open(new IommufdClientOptions { AttemptTimeout = TimeSpan.FromMilliseconds(200) }).PollAsync(TimeSpan.FromMilliseconds(250));
        Expect.Sequence([100.0, 100, 50], Waits(), "milliseconds that the calls wait");
    }

    [Fact]
    public async Task A_poll_ends_with_something_to_read()
    {
        var answers = new Queue<PollEvents>([PollEvents.Out, PollEvents.In | PollEvents.Out]);
        _grain.Poll = _ => new PollReply(Errno.None, answers.Dequeue());
        Expect.Equal(PollEvents.In | PollEvents.Out, await Open().PollAsync(TimeSpan.FromHours(1)), "the events");
    }

    [Fact]
    public async Task A_poll_of_a_file_that_is_gone_throws()
    {
        _grain.Poll = _ => new PollReply(Errno.EBADF);
        var thrown = await Assert.ThrowsAsync<IommufdException>(() => Open().PollAsync().AsTask());
        Expect.Equal(("poll", Errno.EBADF, DiagnosticReason.FileLeadsNowhere), (thrown.Operation, thrown.Errno, thrown.Diagnostic!.Reason), "what is thrown");
    }

    private IEnumerable<double> Waits() => _grain.Calls.Select(call => (((FileTarget, TimeSpan Wait))call).Wait.TotalMilliseconds);

    private T Sent<T>()
        where T : FileRequest
        => (T)(((FileTarget, FileRequest Request))_grain.Calls[^1]).Request;

    private IommuFile Open(IommufdClientOptions? options = null)
    {
        var (handle, core) = (ContextHandle.NewRandom(), new ClientCore(_grain.Channel, options ?? new IommufdClientOptions()));
        var file = UserFile.Of(new FileTarget(handle.Key, new ReferenceId(9), ObjectType.FaultQueue, new ObjectId(1)));
        return new IommuFile(file, core.Grain(handle), core, TimeSpan.Zero);
    }
}
