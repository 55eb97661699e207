using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

/// <content>Answers that come late, and what was done by an attempt whose answer was lost.</content>
public sealed partial class RetryTests
{
    [Fact]
    public async Task An_answer_of_the_first_attempt_that_comes_behind_a_repeat_is_not_taken()
    {
        // The service does not keep an answer that changed nothing: EBUSY, and the repeat succeeds.
        var context = await OpenAsync();
        var late = new TaskCompletionSource();
        var answers = new Queue<Errno>([Errno.EBUSY, Errno.None]);
        _grain.Ioctl = _ => new IoctlReply { Errno = answers.Dequeue() };
        _grain.Faults.Enqueue(Fault.Delays(late.Task));
        var repeat = new TaskCompletionSource();
        _grain.Faults.Enqueue(Fault.Delays(repeat.Task));
        var running = Start(() => context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = 1 }).AsTask());
        Pass(4 * Second);
        FakeTime.Here(late.SetResult);
        Expect.That(!running.IsCompleted, "The late answer was taken.");
        FakeTime.Here(repeat.SetResult);
        Expect.Equal(Errno.None, (await running).Errno, "the answer");
    }

    [Fact]
    public async Task An_answer_of_an_earlier_repeat_is_taken_as_any_repeats()
    {
        var context = await OpenAsync();
        var late = new TaskCompletionSource();
        _grain.Faults.Enqueue(Fault.Drops());
        _grain.Faults.Enqueue(Fault.Delays(late.Task));
        _grain.Faults.Enqueue(Fault.Drops());
        var running = Start(() => context.AllocateIoasAsync().AsTask());
        Pass(9 * Second);
        Expect.Equal(3, _grain.Operations.Count, "attempts");
        FakeTime.Here(late.SetResult);
        Expect.That(running.IsCompletedSuccessfully, "The answer of the second attempt was not taken.");
    }

    [Fact]
    public async Task A_close_that_takes_long_answers_what_it_released()
    {
        var context = await OpenAsync();
        var released = new TaskCompletionSource();
        var answers = new Queue<PutReply>([new PutReply(Errno.None, new ReleaseReport(1_000_000, [], []), null), new PutReply(Errno.EBADF, null, null)]);
        _grain.Put = answers.Dequeue;
        _grain.Faults.Enqueue(Fault.Delays(released.Task));
        _grain.Faults.Enqueue(Fault.Delays(released.Task));
        var running = Start(() => context.CloseAsync());
        Pass(5 * Second);
        Expect.Equal(2, _grain.Calls.OfType<ReferenceId>().Count(), "attempts");
        FakeTime.Here(released.SetResult);
        Expect.Equal(1_000_000L, (await running)!.Destroyed, "what was released");
    }

    [Theory]
    [InlineData("close")]
    [InlineData("put")]
    [InlineData("close file")]
    public async Task A_reference_that_is_gone_when_it_is_put_again_was_put(string request)
    {
        var run = await PrepareAsync(request);
        _grain.Put = () => new PutReply(Errno.EBADF, null, null);
        _grain.Faults.Enqueue(Fault.Loses(new SiloUnavailableException()));
        var running = run();
        Pass(Second);
        await Ended(running);

        run = await PrepareAsync(request);
        var refused = await Assert.ThrowsAsync<IommufdException>(run);
        Expect.Equal(Errno.EBADF, refused.Errno, "what the first attempt answers, which was not repeated");
    }

    [Fact]
    public async Task An_open_whose_lease_was_over_before_its_answer_came_opens_another_handle()
    {
        _grain.OpenErrnos.Enqueue(Errno.EEXIST);
        await OpenAsync();
        Expect.Equal(2, _grain.Calls.OfType<OpenRequest>().Select(open => open.Session).Distinct().Count(), "sessions that were opened");

        _grain.Errno = Errno.EEXIST;
        Expect.Equal(Errno.EEXIST, (await Assert.ThrowsAsync<IommufdException>(OpenAsync)).Errno, "an open for which every handle is taken");
    }
}
