using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Monitoring;

/// <summary>The last ioctls of a context: how many are kept, for whom, and what is said of those that are not.</summary>
public sealed class IoctlTailTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly IoctlTail _tail;
    private uint _next;

    public IoctlTailTests() => _tail = new IoctlTail(_time);

    [Fact]
    public void A_tail_that_was_never_used_has_no_room()
        => Expect.Equal((0, 0L), (_tail.Capacity, _tail.Last), "slots, and the last number");

    [Fact]
    public void The_last_ioctls_are_kept_in_order_and_the_rest_is_counted()
    {
        Add(3);
        Expect.Equal(4, _tail.Capacity, "slots after 3 ioctls");
        Add(97);
        Expect.Equal(IoctlTail.Kept, _tail.Capacity, "slots after 100 ioctls");
        var reply = _tail.Read(new TailRequest(0, 0, TailRequest.MaxLimit));
        Expect.Equal((100L, 100L - IoctlTail.Kept), (reply.Last, reply.Missed), "the last number, and how many were missed");
        Expect.Sequence(Numbers(100 - IoctlTail.Kept + 1, 100), reply.Ioctls.Select(ioctl => ioctl.Number), "numbers");
        Expect.Sequence(reply.Ioctls.Select(ioctl => (uint)ioctl.Number), reply.Ioctls.Select(ioctl => ioctl.Command), "the commands, which were numbered alike");
    }

    [Fact]
    public void A_reply_has_the_latest_that_fit_and_counts_the_rest_as_missed()
    {
        _tail.Read(new TailRequest(-1, 0, 1));
        Holder[] holders = [.. Enumerable.Range(0, IoctlLimits.MaxListed).Select(i => new Holder(ObjectType.Any, default, new string('h', IoctlLimits.MaxNameLength), default))];
        for (var i = 0; i < TailRequest.MaxLimit; i++)
        {
            _tail.Add(null, new IoctlReply { Errno = Errno.EBUSY, Diagnostic = new IoctlDiagnostic { Holders = holders } }, _time.GetTimestamp(), _time.GetTimestamp());
        }

        var reply = _tail.Read(new TailRequest(0, 0, TailRequest.MaxLimit));
        var bytes = reply.Ioctls.Sum(WireSize.Of);
        Expect.That(bytes is > IoctlLimits.MaxPageBytes / 2 and < (IoctlLimits.MaxPageBytes * 2L), $"The reply has {bytes} bytes.");
        Expect.Sequence(Numbers(TailRequest.MaxLimit - reply.Ioctls.Length + 1, TailRequest.MaxLimit), reply.Ioctls.Select(ioctl => ioctl.Number), "the numbers");
        Expect.Equal((long)TailRequest.MaxLimit, reply.Missed + reply.Ioctls.Length, "ioctls that are there, and that were missed");
    }

    [Fact]
    public void Who_looks_again_gets_what_came_since()
    {
        Add(5);
        var first = _tail.Read(new TailRequest(0, 0, 2));
        Expect.Equal((2, 3L), (first.Ioctls.Length, first.Missed), "ioctls, and how many were missed, of 5 with a limit of 2");
        Add(4);
        var second = _tail.Read(new TailRequest(first.Last, first.Activation, 100));
        Expect.Sequence(Numbers(6, 9), second.Ioctls.Select(ioctl => ioctl.Number), "what came since");
        Expect.Equal(0L, second.Missed, "missed");
        Expect.Sequence([], _tail.Read(new TailRequest(second.Last, second.Activation, 100)).Ioctls, "what came since that");
        Expect.Equal((9L, 0), (_tail.Read(new TailRequest(-1, 0, 100)).Last, _tail.Read(new TailRequest(-1, 0, 100)).Ioctls.Length), "the end");
    }

    [Fact]
    public void Numbers_of_another_activation_are_none_of_this_one()
    {
        Add(5);
        var reply = _tail.Read(new TailRequest(1_000, _tail.Activation + 1, 100));
        Expect.Equal((5, 0L), (reply.Ioctls.Length, reply.Missed), "ioctls and missed of a context that was made again");
    }

    [Fact]
    public void More_are_kept_while_somebody_looks_and_not_for_long_after()
    {
        Add(10);
        _tail.Read(new TailRequest(0, 0, 1));
        Add(1_000);
        Expect.Equal((1_010L, 0L), Kept(), "kept and missed while somebody looks");
        Add(10_000);
        Expect.Equal((TailRequest.MaxLimit, 11_010L - TailRequest.MaxLimit), Kept(), "kept and missed of more than a reply can have");

        _time.Advance(IoctlTail.WatchedFor + TimeSpan.FromSeconds(1));
        Add(1);
        Expect.Equal(IoctlTail.Kept, _tail.Capacity, "slots when nobody has looked for a while");
        var reply = _tail.Read(new TailRequest(0, 0, TailRequest.MaxLimit));
        Expect.Sequence(Numbers(11_011 - IoctlTail.Kept + 1, 11_011), reply.Ioctls.Select(ioctl => ioctl.Number), "numbers that were kept all the same");
    }

    [Fact]
    public void Room_is_given_back_without_a_further_ioctl()
    {
        _tail.Read(new TailRequest(0, 0, 1));
        Add(1_000);
        _time.Advance(IoctlTail.WatchedFor + TimeSpan.FromSeconds(1));
        _tail.Trim(_time.GetTimestamp());
        Expect.Equal(IoctlTail.Kept, _tail.Capacity, "slots");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(17)]
    [InlineData(200)]
    public void A_batch_is_its_ioctls_with_equal_parts_of_its_time(int size)
    {
        Add(7);
        var requests = Enumerable.Range(0, size).Select(_ => Request()).ToArray();
        _tail.AddBatch(requests, [.. requests.Select(_ => new IoctlReply())], 0, size * 1_000_000L);
        var reply = _tail.Read(new TailRequest(0, 0, TailRequest.MaxLimit));
        Expect.Equal(size + 7L, reply.Last, "the last number");
        Expect.Sequence(reply.Ioctls.Select(ioctl => (uint)ioctl.Number), reply.Ioctls.Select(ioctl => ioctl.Command), "the commands, which were numbered alike");
        Expect.Equal(_tail.Nanoseconds(1_000_000L), reply.Ioctls[^1].Nanoseconds, "nanoseconds");
    }

    [Fact]
    public void Arguments_are_cut_and_times_are_those_of_the_clock()
    {
        var argument = Enumerable.Range(0, 1_000).Select(i => (byte)i).ToArray();
        var begun = _time.GetTimestamp();
        _time.Advance(TimeSpan.FromMicroseconds(12.5));
        _tail.Add(new IoctlRequest { Command = 1, Argument = argument }, new IoctlReply { Errno = Errno.EBUSY }, begun, _time.GetTimestamp());
        var answered = _time.GetUtcNow();
        _time.Advance(TimeSpan.FromSeconds(3));
        var ioctl = _tail.Read(new TailRequest(0, 0, 1)).Ioctls[0];
        Expect.Sequence(argument[..RecordedIoctl.MaxArgumentBytes], ioctl.Argument, "the argument");
        Expect.Equal((answered.UtcDateTime, 12_500L, Errno.EBUSY), (ioctl.Time, ioctl.Nanoseconds, ioctl.Errno), "time, nanoseconds and errno");
    }

    [Fact]
    public void An_ioctl_that_was_not_timed_says_so_and_has_the_time_it_began_at()
    {
        var begun = _time.GetUtcNow();
        _tail.Add(Request(), new IoctlReply(), _time.GetTimestamp());
        _time.Advance(TimeSpan.FromSeconds(1));
        Expect.That(!_tail.IsWatched, "Somebody looks, although nobody has looked yet.");
        var ioctl = _tail.Read(new TailRequest(0, 0, 1)).Ioctls[0];
        Expect.Equal((begun.UtcDateTime, -1L), (ioctl.Time, ioctl.Nanoseconds), "time and nanoseconds");
        Expect.That(_tail.IsWatched, "Nobody looks, although somebody has just looked.");
    }

    private static IEnumerable<long> Numbers(long first, long last) => Enumerable.Range((int)first, (int)(last - first + 1)).Select(number => (long)number);

    private (long Kept, long Missed) Kept()
    {
        var reply = _tail.Read(new TailRequest(0, 0, TailRequest.MaxLimit));
        return (reply.Ioctls.Length, reply.Missed);
    }

    private IoctlRequest Request() => new() { Command = ++_next };

    private void Add(int count)
    {
        for (var i = 0; i < count; i++)
        {
            _tail.Add(Request(), new IoctlReply(), _time.GetTimestamp(), _time.GetTimestamp());
        }
    }
}
