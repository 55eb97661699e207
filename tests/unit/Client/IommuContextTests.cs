using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// What the SDK asks of a context and makes of its answers. What a real context answers is for the cluster tests.

public sealed class IommuContextTests
{
    private readonly FakeContextGrain _grain = new();
    private readonly IommufdClient _client;

    public IommuContextTests() => _client = new IommufdClient(_grain.Channel);

    [Fact]
    public async Task Each_open_asks_for_a_new_context_under_a_handle_of_its_own()
    {
        var one = await _client.OpenAsync("vmm");
        var two = await _client.OpenAsync("vmm");
        var requests = _grain.Calls.Cast<OpenRequest>().ToArray();
        Expect.Equal(new OpenRequest(null, "vmm", requests[0].Session, requests[0].Client), requests[0], "the request");
        Expect.That(requests[0].Session != 0 && requests[0].Session != requests[1].Session, "Two files have the same session, or none.");
        Expect.That(requests[0].Client != 0 && requests[0].Client == requests[1].Client, "What one client opens does not say that it is one client.");
        Expect.Sequence([one.Handle, two.Handle], _grain.Handles, "the handles that were asked for");
        Expect.That(one.Handle != two.Handle, "Two contexts have the same handle.");
    }

    [Fact]
    public async Task What_is_refused_is_thrown_with_its_operation_and_errno()
    {
        _grain.Errno = Errno.EBADF;
        var handle = ContextHandle.NewRandom();
        (string Operation, Func<Task> Run)[] all =
        [
            ("open", () => _client.OpenAsync()),
            ("duplicate", () => _client.DuplicateAsync(handle)),
            ("get", () => _client.GetDriverAsync(handle, "driver")),
            ("inspect", () => _client.InspectAsync(handle, new InspectRequest(default, 1, false))),
        ];
        foreach (var (operation, run) in all)
        {
            var exception = await Assert.ThrowsAsync<IommufdException>(run);
            Expect.Equal((operation, Errno.EBADF), (exception.Operation, exception.Errno), "operation and errno of what is thrown");
            Expect.Equal(DiagnosticReason.ContextNotOpen, exception.Diagnostic!.Reason, $"why {operation} was refused");
        }
    }

    [Fact]
    public async Task A_text_that_is_no_handle_is_EBADFD_and_nobody_is_asked()
    {
        var exception = await Assert.ThrowsAsync<IommufdException>(() => _client.GetDriverAsync("/dev/null", "driver"));
        Expect.Equal(("get", Errno.EBADFD), (exception.Operation, exception.Errno), "operation and errno");
        Expect.Equal(0, _grain.Calls.Count, "calls");
        var driver = await _client.GetDriverAsync("00112233445566778899aabbccddeeff", "driver");
        Expect.Equal("00112233445566778899aabbccddeeff", driver.Handle.ToString(), "the handle of a text that is one");
    }

    [Fact]
    public async Task A_size_of_0_is_filled_in_and_any_other_is_sent_as_it_is()
    {
        var context = await _client.OpenAsync();
        await context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = 7 });
        await context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = 7, Size = 4 });
        Expect.Sequence(Convert.FromHexString("0800000007000000"), ((IoctlRequest)_grain.Calls[1]).Argument, "the argument whose size was 0");
        Expect.Sequence(Convert.FromHexString("0400000007000000"), ((IoctlRequest)_grain.Calls[2]).Argument, "the argument whose size was 4");
    }

    [Fact]
    public async Task An_ioctl_on_memory_is_copied_in_and_out()
    {
        var context = await _client.OpenAsync();
        var bytes = new byte[12];
        bytes[0] = 12;
        _grain.Ioctl = request => new IoctlReply { Argument = [.. request.Argument[..8], 9] };
        var result = await context.IoctlAsync(0x3B81, 0x1000, new CallerMemory().Add(0x1000, bytes));
        Expect.Sequence<byte>([12, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0], bytes, "the memory after the ioctl");
        Expect.Equal((0x3B81U, Errno.None, 9U), (result.Command, result.Errno, result.Read<IommuIoasAlloc>().OutIoasId), "command, errno and id of the result");
    }

    [Fact]
    public async Task An_ioctl_on_a_buffer_changes_the_buffer_and_its_pointers_lead_to_the_memory()
    {
        var context = await _client.OpenAsync();
        var ranges = new byte[32];
        var argument = UapiStruct.ToBytes(new IommuIoasIovaRanges { Size = 32, NumIovas = 2, AllowedIovas = 0x1000 });
        _grain.Ioctl = request => new IoctlReply { Argument = [32, 0, 0, 0, 5], Buffers = [new UserBufferWrite(request.Buffers![0].Address, [1, 2, 3])] };
        await context.IoctlAsync(0x3B84, argument, new CallerMemory().Add(0x1000, ranges));
        Expect.Equal(5U, BinaryPrimitives.ReadUInt32LittleEndian(argument.AsSpan(4)), "ioas_id, which was copied back");
        Expect.Sequence<byte>([1, 2, 3, 0], ranges[..4], "the buffer, which was copied back");
        Expect.Equal(32UL, ((IoctlRequest)_grain.Calls[1]).Buffers![0].WritableBytes, "writable bytes of the buffer");
    }

    [Fact]
    public async Task A_buffer_shorter_than_its_size_says_is_sent_as_cut_off()
    {
        var context = await _client.OpenAsync();
        await context.IoctlAsync(0x3B81, new byte[] { 12, 0, 0, 0, 0, 0, 0, 0 }.AsMemory());
        var request = (IoctlRequest)_grain.Calls[1];
        Expect.Equal((8, ArgumentTail.Faulted, 8U), (request.Argument.Length, request.Tail, request.WritableBytes), "bytes, tail and writable bytes");
    }

    [Fact]
    public async Task A_batch_runs_in_one_call_and_copies_out_what_ran()
    {
        var context = await _client.OpenAsync();
        byte[][] arguments = [[12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]];
        var memory = new CallerMemory().Add(0x1000, arguments[0]).Add(0x2000, arguments[1]);
        _grain.Batch = new IoctlBatchReply
        {
            Replies = [IoctlReply.Success, new IoctlReply { Argument = [12, 0, 0, 0, 0, 0, 0, 0, 3] }, new IoctlReply { Errno = Errno.ENOENT }],
        };
        var batch = context.CreateBatch().Destroy(new ObjectId(1)).Add(0x3B81, 0x1000, memory).Destroy(new ObjectId(2)).Add(0x3B81, 0x2000, memory);
        var results = await batch.RunAsync(stopAtFirstError: true);

        var request = (IoctlBatchRequest)_grain.Calls[^1];
        Expect.That(request.StopAtFirstError, "The batch does not stop at the first error.");
        Expect.Sequence([0x3B80U, 0x3B81U, 0x3B80U, 0x3B81U], request.Requests.Select(ioctl => ioctl.Command), "the commands that were sent");
        Expect.Sequence(
            [(0x3B80U, Errno.None), (0x3B81U, Errno.None), (0x3B80U, Errno.ENOENT)], results.Select(result => (result.Command, result.Errno)),
            "the results of what ran");
        Expect.Equal((3, 0), (arguments[0][8], arguments[1][8]), "the ids that were copied back to what ran, and to what did not");
    }

    [Fact]
    public async Task A_batch_that_was_refused_throws()
    {
        var context = await _client.OpenAsync();
        _grain.Batch = new IoctlBatchReply { Errno = Errno.EBADF, Diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen } };
        var exception = await Assert.ThrowsAsync<IommufdException>(() => context.CreateBatch().AllocateIoas().RunAsync());
        Expect.Equal(("batch", Errno.EBADF), (exception.Operation, exception.Errno), "operation and errno");
    }

    [Fact]
    public async Task Disposing_closes_once_and_does_not_throw()
    {
        var context = await _client.OpenAsync();
        _grain.Errno = Errno.EBADF;
        await context.DisposeAsync();
        await context.DisposeAsync();
        Expect.Sequence([new ReferenceId(1)], _grain.Calls.OfType<ReferenceId>(), "the references that were put");
    }

    [Fact]
    public async Task What_was_closed_is_not_closed_again_by_disposing_it()
    {
        var context = await _client.OpenAsync();
        _grain.Release = new ReleaseReport(3, [], []);
        Expect.Equal(_grain.Release, await context.CloseAsync(), "what the close released");
        await context.DisposeAsync();
        Expect.Equal(1, _grain.Calls.OfType<ReferenceId>().Count(), "references that were put");
    }

    [Fact]
    public async Task A_drivers_holds_are_dropped_through_its_reference_once()
    {
        _grain.Driver = new DriverReply(Errno.None, Hold: new HoldId(3));
        var driver = await _client.GetDriverAsync(ContextHandle.NewRandom(), "vfio-pci");
        var hold = await driver.HoldAsync(new ObjectId(7), "DMA", ObjectType.Ioas);
        var get = (GetRequest)_grain.Calls[0];
        Expect.Equal(new GetRequest(ReferenceKind.Driver, "vfio-pci", get.Session), get, "the request for the driver's reference");
        Expect.That(get.Session != 0, "A driver has no session.");
        Expect.Equal<object>((new ReferenceId(2), (DriverRequest)new HoldObjectRequest(new ObjectId(7), ObjectType.Ioas, "DMA")), _grain.Calls[1], "the request for the hold");
        Expect.Equal((new ObjectId(7), new HoldId(3)), (hold.Target, hold.Id), "the hold");
        await hold.DropAsync();
        await hold.DisposeAsync();
        await driver.DisposeAsync();
        await driver.DisposeAsync();
        Expect.Equal<object>((new ReferenceId(2), (DriverRequest)new DropHoldRequest(new HoldId(3))), _grain.Calls[2], "the request to drop the hold");
        Expect.Sequence([new ReferenceId(2)], _grain.Calls.Skip(3), "the calls after it");
    }

    [Fact]
    public async Task A_cancelled_ioctl_is_not_sent()
    {
        var context = await _client.OpenAsync();
        await Assert.ThrowsAsync<OperationCanceledException>(() => context.AllocateIoasAsync(new CancellationToken(canceled: true)).AsTask());
        Expect.Equal(1, _grain.Calls.Count, "calls, of which the first opened the context");
    }

    public static TheoryData<string, TransportOutcome> TransportFailures => new()
    {
        { nameof(OrleansMessageRejectionException), TransportOutcome.NotRun },
        { nameof(SiloUnavailableException), TransportOutcome.Unknown },
        { nameof(OrleansException), TransportOutcome.Unknown },
        { nameof(TimeoutException), TransportOutcome.Unknown },
        { nameof(ObjectDisposedException), TransportOutcome.Unknown },
    };

    [Theory]
    [MemberData(nameof(TransportFailures))]
    public async Task A_request_that_got_no_answer_says_whether_it_may_have_run(string failure, TransportOutcome outcome)
    {
        var context = await new IommufdClient(_grain.Channel, new IommufdClientOptions { RetryFor = TimeSpan.Zero }).OpenAsync();
        _grain.Failure = failure switch
        {
            nameof(OrleansMessageRejectionException) => (Exception)RuntimeHelpers.GetUninitializedObject(typeof(OrleansMessageRejectionException)),
            nameof(SiloUnavailableException) => new SiloUnavailableException("gone"),
            nameof(OrleansException) => new OrleansException("failed"),
            nameof(TimeoutException) => new TimeoutException("late"),
            _ => new ObjectDisposedException("client"),
        };
        (string Operation, Func<Task> Run)[] all =
        [
            ("IOMMU_IOAS_ALLOC", () => context.AllocateIoasAsync().AsTask()),
            ("batch", () => context.CreateBatch().AllocateIoas().RunAsync()),
            ("inspect", () => context.InspectAsync()),
            ("close", () => context.CloseAsync()),
        ];
        foreach (var (operation, run) in all)
        {
            var exception = await Assert.ThrowsAsync<IommufdTransportException>(run);
            Expect.Equal((operation, outcome), (exception.Operation, exception.Outcome), $"what {operation} makes of {failure}");
            Expect.That(
                exception.Message.Contains(outcome == TransportOutcome.NotRun ? "did not run" : "may have run", StringComparison.Ordinal),
                $"The message doesn't say whether it ran: {exception.Message}");
            Expect.Equal(_grain.Failure, exception.InnerException, "the inner exception");
        }
    }

    [Fact]
    public async Task A_bug_of_the_service_is_not_taken_for_the_transport()
    {
        var context = await _client.OpenAsync();
        _grain.Failure = new InvalidOperationException("bug");
        await Assert.ThrowsAsync<InvalidOperationException>(() => context.AllocateIoasAsync().AsTask());
        await Assert.ThrowsAsync<InvalidOperationException>(() => context.CloseAsync());
    }
}
