using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Client;

// Which ioctls travel together, in which order, and what becomes of them where their message is lost.

public sealed class IoctlCombinerTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly FakeContextGrain _grain = new();
    private readonly FakeTimeProvider _time = new();
    private readonly IommufdClient _client;

    public IoctlCombinerTests() => _client = new IommufdClient(_grain.Channel, new IommufdClientOptions { TimeProvider = _time, AttemptTimeout = 4 * Second });

    [Fact]
    public async Task Ioctls_one_after_the_other_go_alone()
    {
        var context = await OpenAsync();
        for (var id = 1u; id <= 3; id++)
        {
            await DestroyAsync(context, id);
        }

        Expect.Sequence([1u, 2u, 3u], Destroyed, "the ioctls, as they came");
        Expect.Sequence([], _grain.Groups, "the groups");
    }

    [Fact]
    public async Task What_comes_while_one_is_under_way_goes_together_in_the_order_of_the_calls()
    {
        var context = await OpenAsync();
        _grain.Ioctl = request => new IoctlReply { Errno = IdOf(request) == 3 ? Errno.EBUSY : Errno.None };
        var answered = Hold();
        var running = Enumerable.Range(1, 5).Select(id => DestroyAsync(context, (uint)id)).ToList();
        Expect.Sequence([1u], Destroyed, "what was sent before the first answer");
        answered.SetResult();

        var replies = await Task.WhenAll(running).WaitAsync(10 * Second);
        Expect.Sequence([1u, 2u, 3u, 4u, 5u], Destroyed, "the ioctls, as they came");
        Expect.Sequence([4], _grain.Groups, "the groups");
        Expect.Sequence([Errno.None, Errno.None, Errno.EBUSY, Errno.None, Errno.None], replies.Select(reply => reply.Errno), "the errnos, by caller");
        Expect.Sequence([1L, 2L, 3L, 4L, 5L], Sequences, "the numbers of the ioctls");
    }

    [Fact]
    public async Task An_ioctl_that_was_given_up_while_it_waited_is_not_sent()
    {
        var context = await OpenAsync();
        using var cancel = new CancellationTokenSource();
        var answered = Hold();
        var first = DestroyAsync(context, 1);
        var second = DestroyAsync(context, 2, cancel.Token);
        var third = DestroyAsync(context, 3);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        answered.SetResult();
        await Task.WhenAll(first, third).WaitAsync(10 * Second);
        Expect.Sequence([1u, 3u], Destroyed, "the ioctls, as they came");
    }

    [Theory]
    [InlineData("batch")]
    [InlineData("close")]
    public async Task What_waits_goes_before_any_other_request_of_the_context(string request)
    {
        var context = await OpenAsync();
        var answered = Hold();
        var running = Enumerable.Range(1, 3).Select(id => DestroyAsync(context, (uint)id)).ToList();
        Task other = request == "batch" ? context.CreateBatch().AllocateIoas().RunAsync() : context.CloseAsync();
        Expect.Sequence([1u, 2u, 3u], Destroyed, $"the ioctls that were sent before the {request}");
        Expect.That(_grain.Calls[^1] is not IoctlRequest, $"An ioctl was sent behind the {request}.");
        answered.SetResult();
        await Task.WhenAll([.. running, other]).WaitAsync(10 * Second);
    }

    [Fact]
    public async Task Nothing_waits_for_a_message_that_has_had_its_time()
    {
        var context = await OpenAsync();
        _grain.Faults.Enqueue(Fault.Drops());
        var first = DestroyAsync(context, 1);
        var second = DestroyAsync(context, 2);
        _time.Pass(3.9 * Second);
        Expect.Sequence([1u], Destroyed, "what was sent before the first attempt had its time");
        _time.Pass(1.2 * Second);
        await Task.WhenAll(first, second).WaitAsync(10 * Second);
        Expect.Equal(Errno.None, (await DestroyAsync(context, 3).WaitAsync(10 * Second)).Errno, "the errno of an ioctl behind them");
        Expect.Sequence([1u, 2u, 3u], Destroyed.Distinct().Order(), "what was sent then");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Each_of_a_group_whose_message_fails_is_sent_again_alone_under_its_name(bool isTransport)
    {
        var context = await OpenAsync();
        var answered = Hold();
        _grain.Faults.Enqueue(Fault.Fails(isTransport ? new SiloUnavailableException("gone") : new InvalidOperationException("one of them")));
        var running = Enumerable.Range(1, 4).Select(id => DestroyAsync(context, (uint)id)).ToList();
        answered.SetResult();

        // Before time passes: the first one is not to be overdue.
        await running[0].WaitAsync(10 * Second);
        await PassUntilAsync(Task.WhenAll(running));

        // The group's second ioctl failed it, so its first was sent once, and not answered.
        Expect.Sequence([2L, 3L, 4L], _grain.Operations.Where(operation => operation.IsRepeat).Select(operation => operation.Sequence).Order(), "the numbers of the ioctls that were sent again");
        Expect.Sequence([3], _grain.Groups, "the groups");
    }

    [Fact]
    public async Task A_group_that_got_another_number_of_answers_has_none()
    {
        var context = await OpenAsync();
        var answered = Hold();
        _grain.Group = _ => new IoctlBatchReply { Errno = Errno.E2BIG };
        var running = Enumerable.Range(1, 3).Select(id => DestroyAsync(context, (uint)id)).ToList();
        answered.SetResult();

        // Before time passes: the first one is not to be overdue.
        await running[0].WaitAsync(10 * Second);
        await PassUntilAsync(Task.WhenAll(running));
        var replies = await Task.WhenAll(running);
        Expect.Sequence([1u, 2u, 3u], Destroyed.Order(), "the ioctls that were answered alone");
        Expect.That(Array.TrueForAll(replies, reply => reply.Succeeded), "An ioctl was answered for the group.");
    }

    [Fact]
    public async Task A_message_has_no_more_than_256_ioctls_and_no_more_than_256_KiB()
    {
        var context = await OpenAsync();
        var answered = Hold();
        var large = new byte[100 * 1024];
        var memory = new CallerMemory().Add(0x10000, large);
        var running = new List<Task> { DestroyAsync(context, 1) };
        for (var i = 0; i < 5; i++)
        {
            var cmd = new IommuIoasAllowIovas { Size = 24, IoasId = 1, NumIovas = (uint)large.Length / 16, AllowedIovas = 0x10000 };
            running.Add(context.IoctlAsync((uint)IommuCommand.IoasAllowIovas, UapiStruct.ToBytes(in cmd), memory).AsTask());
        }

        for (var i = 0; i < 240; i++)
        {
            running.Add(DestroyAsync(context, 2));
        }

        answered.SetResult();
        await Task.WhenAll(running).WaitAsync(10 * Second);
        Expect.Equal(246, _grain.Calls.OfType<IoctlRequest>().Count(), "the ioctls that came");
        Expect.Sequence([2, 2], _grain.Groups.Take(2), "the groups of ioctls with 100 KiB each");
        Expect.That(_grain.Groups.TrueForAll(count => count <= 256), "A group has more than 256 ioctls.");
    }

    [Fact]
    public async Task A_caller_that_blocks_for_another_answer_of_its_group_gets_it()
    {
        var context = await OpenAsync();
        var answered = Hold();
        var first = DestroyAsync(context, 1);
        var (second, third) = (DestroyAsync(context, 2), DestroyAsync(context, 3));
#pragma warning disable xUnit1031 // To block is what the test is about.
        var blocked = second.ContinueWith(_ => third.Wait(10 * Second), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
#pragma warning restore xUnit1031
        answered.SetResult();
        await first.WaitAsync(10 * Second);
        Expect.Equal(true, await blocked.WaitAsync(10 * Second), "whether the caller that blocks got the other answer");
    }

    private IEnumerable<uint> Destroyed => _grain.Calls.OfType<IoctlRequest>().Where(request => request.Command == (uint)IommuCommand.Destroy).Select(IdOf);

    private IEnumerable<long> Sequences => _grain.Operations.Select(operation => operation.Sequence);

    private static uint IdOf(IoctlRequest request) => UapiStruct.Read<IommuDestroy>(request.Argument).Id;

    private static Task<IoctlResult> DestroyAsync(IommuContext context, uint id, CancellationToken cancellationToken = default)
        => context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = id }, cancellationToken).AsTask();

    // The pauses before the repeats begin on threads of the pool.
    private async Task PassUntilAsync(Task ended)
    {
        for (var i = 0; !ended.IsCompleted; i++)
        {
            Expect.That(i < 1_000, "The ioctls get no answer.");
            _time.Pass(0.03 * Second);
            await Task.Yield();
        }
    }

    private async Task<IommuContext> OpenAsync()
    {
        var context = await _client.OpenAsync();
        _grain.Calls.Clear();
        return context;
    }

    // The next call runs, and is answered later.
    private TaskCompletionSource Hold()
    {
        var answered = new TaskCompletionSource();
        _grain.Faults.Enqueue(Fault.Delays(answered.Task));
        return answered;
    }
}
