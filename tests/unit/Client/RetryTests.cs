using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Client;

// What the SDK does where an answer does not come. Time is fake, and everything that time sets off has happened when it has passed.

public sealed partial class RetryTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private readonly FakeContextGrain _grain = new();
    private readonly FakeTimeProvider _time = new();
    private readonly IommufdClient _client;

    public RetryTests() => _client = Client();

    public static TheoryData<string> Requests => ["ioctl", "raw ioctl", "batch", "hold", "bind", "inspect", "open", "duplicate", "get driver", "close", "put", "close file", "read file", "write file", "poll file"];

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task A_request_that_fails_on_its_way_is_sent_again_and_succeeds(string request)
    {
        var run = await PrepareAsync(request);
        _grain.Calls.Clear();
        _grain.Operations.Clear();
        foreach (var failure in Failures())
        {
            _grain.Faults.Enqueue(Fault.Fails(failure));
        }

        var running = run();
        Expect.That(!running.IsCompleted, $"The {request} has ended with {running.Exception?.InnerException} before time passed.");
        Pass(20 * Second);
        await Ended(running);

        Expect.Equal(Failures().Length + 1, _grain.Calls.Count, $"attempts of the {request}");
        Expect.That(_grain.Calls.TrueForAll(call => ArgumentOf(call).Equals(ArgumentOf(_grain.Calls[0]))), $"The {request} is not the same in all attempts.");
        if (_grain.Operations is [var first, ..] operations)
        {
            Expect.Sequence([first, .. Enumerable.Repeat(first with { IsRepeat = true }, operations.Count - 1)], operations, $"the names of the {request}");
            Expect.That(first is { IsRepeat: false, Session: not 0, Sequence: > 0 }, $"The name of the first attempt is {first}.");
        }
    }

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task A_request_that_gets_no_answer_is_sent_again_when_its_attempt_has_had_its_time(string request)
    {
        var run = await PrepareAsync(request);
        _grain.Calls.Clear();
        _grain.Faults.Enqueue(Fault.Drops());
        _grain.Faults.Enqueue(Fault.Drops());

        var running = run();
        Pass(2.9 * Second);
        Expect.Equal(1, _grain.Calls.Count, $"attempts of the {request} before its first has had its time");
        Pass(1.1 * Second);
        Expect.Equal(2, _grain.Calls.Count, $"attempts of the {request} behind it");
        Expect.That(!running.IsCompleted, $"The {request} has ended without an answer.");
        Pass(4 * Second);
        await Ended(running);
        Expect.Equal(3, _grain.Calls.Count, $"attempts of the {request} in all");
    }

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task A_request_that_waits_is_sent_again_when_the_ways_to_silos_change(string request)
    {
        var run = await PrepareAsync(request);
        _grain.Calls.Clear();
        _grain.Faults.Enqueue(Fault.Drops());
        _grain.Faults.Enqueue(Fault.Drops());

        var running = run();
        Pass(0.8 * Second);
        _grain.Routes.Note();
        Pass(0.8 * Second);
        Expect.That(SpinWait.SpinUntil(() => _grain.Calls.Count == 2, 10 * Second), $"The {request} waits for the time of its first attempt to be over.");
        _grain.Routes.Note();
        await Ended(running);
        Expect.Equal(3, _grain.Calls.Count, $"attempts of the {request} in all");
    }

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task A_request_that_never_gets_an_answer_is_given_up_when_the_time_for_it_is_over(string request)
    {
        var run = await PrepareAsync(request);
        _grain.Failure = new SiloUnavailableException("gone");
        var running = run();
        Pass(29 * Second);
        var givenUp = running.IsCompleted;
        Pass(5 * Second);

        var exception = await Assert.ThrowsAsync<IommufdTransportException>(() => Ended(running));
        Expect.Equal((TransportOutcome.Unknown, _grain.Failure), (exception.Outcome, exception.InnerException), $"what is said of the {request}");
        Expect.That(exception.Message.Contains("attempts", StringComparison.Ordinal), $"The message does not say how often: {exception.Message}");
        Expect.That(!givenUp || exception.Message.Contains("in 2", StringComparison.Ordinal), $"The {request} was given up early: {exception.Message}");
    }

    [Fact]
    public async Task What_was_rejected_before_it_ran_each_time_has_not_run_and_one_lost_answer_makes_that_unknown()
    {
        var rejection = Rejection();
        foreach (var (faults, expected) in new (Fault[], TransportOutcome)[]
        {
            ([Fault.Fails(rejection), Fault.Fails(rejection)], TransportOutcome.NotRun),
            ([Fault.Fails(new GatewayTooBusyException()), Fault.Fails(new LimitExceededException("full"))], TransportOutcome.NotRun),
            ([Fault.Fails(rejection), Fault.Loses(new SiloUnavailableException("gone"))], TransportOutcome.Unknown),
            ([Fault.Loses(new TimeoutException()), Fault.Fails(rejection)], TransportOutcome.Unknown),
            ([Fault.Drops(), Fault.Fails(rejection)], TransportOutcome.Unknown),
            ([Fault.Fails(rejection), Fault.Drops()], TransportOutcome.Unknown),
            ([Fault.Fails(new ContextUnavailableException("another has taken over")), Fault.Fails(rejection)], TransportOutcome.Unknown),
        })
        {
            foreach (var request in (string[])["ioctl", "duplicate"])
            {
                var run = await PrepareAsync(request);
                Array.ForEach(faults, _grain.Faults.Enqueue);
                _grain.Failure = null;
                var running = run();
                Pass(5 * Second);
                Expect.That(running.IsCompletedSuccessfully, $"The {request} did not succeed in the end: {running.Exception}");

                run = await PrepareAsync(request);
                Enumerable.Range(0, 200).ToList().ForEach(i => _grain.Faults.Enqueue(faults[Math.Min(i, faults.Length - 1)]));
                running = run();
                Pass(40 * Second);
                _grain.Faults.Clear();
                var exception = await Assert.ThrowsAsync<IommufdTransportException>(() => Ended(running));
                Expect.Equal(expected, exception.Outcome, $"whether the {request} ran, whose attempts ended with {string.Join<Fault>(", ", faults)}");
            }
        }
    }

    [Fact]
    public void A_connection_that_ended_while_a_request_was_on_its_way_may_have_let_it_through()
        => Expect.Equal(
            TransportOutcome.Unknown,
            IommufdTransportException.OutcomeOf(Rejection("Client is rejecting message: Request. Reason = Connection terminated")),
            "what is known of it");

    [Fact]
    public async Task A_request_that_was_given_up_is_settled_from_the_next_one_on()
    {
        var context = await OpenAsync();
        _grain.Failure = new TimeoutException();
        var givenUp = Start(() => context.AllocateIoasAsync().AsTask());
        Pass(40 * Second);
        await Assert.ThrowsAsync<IommufdTransportException>(() => Ended(givenUp));
        using var cancel = new CancellationTokenSource();
        var cancelled = Start(() => context.AllocateIoasAsync(cancel.Token).AsTask());
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Ended(cancelled));
        _grain.Failure = null;
        _grain.Operations.Clear();

        await context.AllocateIoasAsync();

        Expect.Equal((3L, 2L, false), (_grain.Operations[0].Sequence, _grain.Operations[0].Settled, _grain.Operations[0].IsRepeat), "number, what is settled, and whether it is a repeat");
    }

    [Fact]
    public async Task Cancellation_ends_a_request_at_once_whatever_it_waits_for()
    {
        var context = await OpenAsync();
        foreach (var (waits, fault, passed) in new[]
        {
            ("an answer", Fault.Drops(), TimeSpan.Zero),
            ("the answer to a repeat", Fault.Drops(), 5 * Second),
            ("its next attempt", Fault.Fails(new SiloUnavailableException()), TimeSpan.Zero),
        })
        {
            _grain.Faults.Enqueue(fault);
            _grain.Faults.Enqueue(Fault.Drops());
            _grain.Faults.Enqueue(Fault.Drops());
            using var cancel = new CancellationTokenSource();
            var running = Start(() => context.AllocateIoasAsync(cancel.Token).AsTask());
            Pass(passed);
            Expect.That(!running.IsCompleted, $"A request that waits for {waits} has ended.");
            FakeTime.Here(cancel.Cancel);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running.WaitAsync(TimeSpan.FromSeconds(30)));
            _grain.Faults.Clear();
            var calls = _grain.Calls.Count;
            Pass(40 * Second);
            Expect.Equal(calls, _grain.Calls.Count, $"attempts after one that waits for {waits} was cancelled");
        }
    }

    [Fact]
    public async Task An_error_of_the_service_is_never_sent_again()
    {
        var context = await OpenAsync();
        _grain.Ioctl = _ => new IoctlReply { Errno = Errno.EBUSY };
        var calls = _grain.Calls.Count;
        Expect.Equal(Errno.EBUSY, (await context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = 1 })).Errno, "what an ioctl answers");
        Pass(40 * Second);
        Expect.Equal(calls + 1, _grain.Calls.Count, "attempts");
    }

    [Fact]
    public async Task A_bug_of_the_service_ends_a_request_also_when_it_is_repeated()
    {
        var context = await OpenAsync();
        _grain.Faults.Enqueue(Fault.Fails(new SiloUnavailableException()));
        _grain.Faults.Enqueue(Fault.Fails(new InvalidOperationException("bug")));
        var running = Start(() => context.AllocateIoasAsync().AsTask());
        Pass(Second);
        await Assert.ThrowsAsync<InvalidOperationException>(() => Ended(running));
        await context.AllocateIoasAsync();
        Expect.Equal((2L, 1L), (_grain.Operations[^1].Sequence, _grain.Operations[^1].Settled), "number of the next request, and what is settled");
    }

    [Fact]
    public async Task An_ioctl_on_a_file_of_another_context_has_no_name_and_is_sent_once()
    {
        var context = await OpenAsync();
        var file = UserFile.Of(new FileTarget(ContextHandle.NewRandom().Key, new ReferenceId(9), ObjectType.Access, new ObjectId(1)));
        var memory = new CallerMemory().AddFile(5, file);
        var argument = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.DestroyAccessPages, Id = 5 });
        await context.IoctlAsync((uint)IommuCommand.TestCmd, argument, memory);
        Expect.Equal(default, _grain.Operations[^1], "its name");

        _grain.Faults.Enqueue(Fault.Fails(new SiloUnavailableException()));
        await Assert.ThrowsAsync<IommufdTransportException>(() => context.IoctlAsync((uint)IommuCommand.TestCmd, argument, memory).AsTask());
        Expect.Equal(2, _grain.Operations.Count, "attempts of both");
    }

    [Fact]
    public async Task A_process_whose_way_to_the_grains_has_ended_is_told_at_once()
    {
        foreach (var failure in new Exception[] { new ObjectDisposedException("client"), new SiloUnavailableException("The local Orleans host is shutting down and can no longer process the request: x.") })
        {
            foreach (var request in (string[])["ioctl", "inspect", "close"])
            {
                var run = await PrepareAsync(request);
                _grain.Failure = failure;
                await Assert.ThrowsAsync<IommufdTransportException>(run);
                _grain.Failure = null;
            }
        }
    }

    [Fact]
    public async Task A_client_that_was_stopped_sends_nothing_again()
    {
        var context = await OpenAsync();
        _client.Stop();
        await context.AllocateIoasAsync();
        _grain.Faults.Enqueue(Fault.Fails(new SiloUnavailableException()));
        await Assert.ThrowsAsync<IommufdTransportException>(() => context.AllocateIoasAsync().AsTask());
    }

    [Fact]
    public async Task Pauses_grow_and_their_bounds_are_the_options()
    {
        var client = new IommufdClient(
            _grain.Channel, new IommufdClientOptions { TimeProvider = _time, Backoff = 2 * Second, MaxBackoff = 8 * Second, RetryFor = 100 * Second });
        var context = await client.OpenAsync();
        var sent = new List<double>();
        _grain.Ioctl = _ =>
        {
            sent.Add(_time.GetUtcNow().Ticks / (double)TimeSpan.TicksPerSecond);
            return IoctlReply.Success;
        };
        for (var i = 0; i < 6; i++)
        {
            _grain.Faults.Enqueue(Fault.Loses(new TimeoutException()));
        }

        var running = Start(() => context.AllocateIoasAsync().AsTask());
        Pass(60 * Second);
        await Ended(running);
        var pauses = sent.Zip(sent.Skip(1), (before, after) => after - before).ToList();
        foreach (var (pause, longest) in pauses.Zip((double[])[2, 4, 8, 8, 8, 8]))
        {
            Expect.That(pause >= (longest / 2) - 0.02 && pause <= longest + 0.02, $"A pause is {pause} s, it should be {longest / 2} to {longest}: {string.Join(", ", pauses)}");
        }
    }

    [Fact]
    public void Options_that_make_no_sense_are_named()
    {
        foreach (var (name, options) in new (string, IommufdClientOptions)[]
        {
            ("RetryFor", new() { RetryFor = -Second }),
            ("AttemptTimeout", new() { AttemptTimeout = TimeSpan.Zero }),
            ("Backoff", new() { Backoff = -Second }),
            ("MaxBackoff", new() { MaxBackoff = TimeSpan.Zero }),
        })
        {
            Expect.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(() => new IommufdClient(_grain.Channel, options)).ParamName, "what is named");
        }
    }

    private static Exception[] Failures() =>
    [
        new SiloUnavailableException("gone"), Rejection(), new TimeoutException("late"), new ContextUnavailableException("another has taken over"),
        new GatewayTooBusyException(), new OrleansException("no silo"), new OperationCanceledException("the silo stops"), new IOException("reset"),
    ];

    // Orleans alone makes them.
    private static OrleansMessageRejectionException Rejection(string? message = null)
    {
        var rejection = (OrleansMessageRejectionException)RuntimeHelpers.GetUninitializedObject(typeof(OrleansMessageRejectionException));
        typeof(Exception).GetField("_message", System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance)!.SetValue(rejection, message);
        return rejection;
    }

    private static object ArgumentOf(object call) => call is IoctlRequest ioctl ? Convert.ToHexString(ioctl.Argument)
        : call is IoctlBatchRequest batch ? string.Join(' ', batch.Requests.Select(ArgumentOf)) : call;

    private static Task<T> Start<T>(Func<Task<T>> run)
    {
        Task<T>? running = null;
        FakeTime.Here(() => running = run());
        return running!;
    }

    private static Task Ended(Task task) => task.WaitAsync(TimeSpan.FromSeconds(30));

    private void Pass(TimeSpan duration) => _time.Pass(duration);

    private IommufdClientOptions Options => new() { TimeProvider = _time, AttemptTimeout = 3 * Second };

    private IommufdClient Client() => new(_grain.Channel, Options);

    private Task<IommuContext> OpenAsync() => _client.OpenAsync();

    // What a request needs is made before; the request itself is for the test to send.
    private async Task<Func<Task>> PrepareAsync(string request)
    {
        var (faults, failure, put) = (_grain.Faults.ToArray(), _grain.Failure, _grain.Put);
        _grain.Faults.Clear();
        (_grain.Failure, _grain.Put) = (null, null);
        var context = await OpenAsync();
        var driver = await _client.GetDriverAsync(context.Handle, "driver");
        var target = new FileTarget(context.Handle.Key, new ReferenceId(9), ObjectType.Access, new ObjectId(1));
        var core = new ClientCore(_grain.Channel, Options);
        var file = new IommuFile(UserFile.Of(target), core.Grain(context.Handle), core, lease: default);
        (_grain.Failure, _grain.Put) = (failure, put);
        Array.ForEach(faults, _grain.Faults.Enqueue);
        Func<Task> run = request switch
        {
            "ioctl" => () => context.DestroyAsync(new ObjectId(1)).AsTask(),
            "raw ioctl" => () => context.IoctlAsync(0x3B80, new byte[] { 8, 0, 0, 0, 1, 0, 0, 0 }).AsTask(),
            "batch" => () => context.CreateBatch().AllocateIoas().Destroy(new ObjectId(1)).RunAsync(),
            "hold" => () => driver.HoldAsync(new ObjectId(1), "DMA"),
            "bind" => () => driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0" }),
            "inspect" => () => context.InspectAsync(),
            "open" => () => _client.OpenAsync("again"),
            "duplicate" => () => _client.DuplicateAsync(context.Handle),
            "get driver" => () => _client.GetDriverAsync(context.Handle, "again"),
            "close" => () => context.CloseAsync(),
            "put" => () => driver.PutAsync(),
            "read file" => () => file.ReadAsync(new byte[8]).AsTask(),
            "write file" => () => file.WriteAsync(new byte[8]).AsTask(),
            "poll file" => () => file.PollAsync().AsTask(),
            _ => () => file.CloseAsync(),
        };
        return () =>
        {
            Task? running = null;
            FakeTime.Here(() => running = run());
            return running!;
        };
    }
}
