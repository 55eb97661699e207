using CsCheck;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Model;

public sealed class ReplayWindowTests
{
    private const long Session = 7;

    private readonly ReplayWindow _window = new();

    [Fact]
    public void A_request_that_was_not_seen_is_new()
    {
        ExpectStanding(OperationStanding.New, Operation(1), "the first request");
        ExpectStanding(OperationStanding.New, Operation(3), "a request that overtook another");
    }

    [Fact]
    public void A_kept_answer_is_given_again_and_again()
    {
        _window.Keep(1, "first");
        for (var i = 0; i < 3; i++)
        {
            Expect.Equal(OperationStanding.Answered, _window.Begin(Operation(1), out var answer), "a request that was answered");
            Expect.Equal("first", answer, "its answer");
        }
    }

    [Fact]
    public void What_is_settled_is_forgotten_and_never_done_again()
    {
        _window.Keep(1, "first");
        _window.Keep(2, "second");
        ExpectStanding(OperationStanding.New, Operation(3, settled: 1), "a request that settles the first");
        ExpectStanding(OperationStanding.Settled, Operation(1), "the first, come late");
        ExpectStanding(OperationStanding.Answered, Operation(2, settled: 1), "the second");
        Expect.Equal(1, _window.Answers.Count, "answers kept");
    }

    [Fact]
    public void A_request_that_was_given_up_before_it_came_is_refused()
    {
        ExpectStanding(OperationStanding.New, Operation(5, settled: 4), "a request that settles four that never came");
        ExpectStanding(OperationStanding.Settled, Operation(4), "one of the four, come late");
    }

    [Fact]
    public void Settling_goes_one_way()
    {
        ExpectStanding(OperationStanding.New, Operation(9, settled: 8), "a request that settles eight");
        ExpectStanding(OperationStanding.New, Operation(10, settled: 2), "a later one that says less");
        Expect.Equal(8L, _window.Settled, "what is settled");
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(5)]
    public void A_request_can_not_settle_itself(long settled)
    {
        _window.Keep(2, "second");
        ExpectStanding(OperationStanding.New, Operation(5, settled), "a request that says that it is settled itself");
        Expect.Equal((4L, 0), (_window.Settled, _window.Answers.Count), "what is settled, and kept");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    public void Numbers_start_at_1(long sequence)
        => ExpectStanding(OperationStanding.Settled, Operation(sequence, settled: long.MinValue), $"request {sequence}");

    [Fact]
    public void A_session_that_settles_nothing_is_bounded()
    {
        for (var sequence = 1; sequence <= IoctlLimits.MaxUnsettled; sequence++)
        {
            ExpectStanding(OperationStanding.New, Operation(sequence), $"request {sequence}");
            _window.Keep(sequence, sequence);
        }

        ExpectStanding(OperationStanding.Full, Operation(IoctlLimits.MaxUnsettled + 1), "one request too many");
        ExpectStanding(OperationStanding.Answered, Operation(1), "the first, asked again");
        ExpectStanding(OperationStanding.New, Operation(IoctlLimits.MaxUnsettled + 1, settled: 1), "the one, when the first is settled");
    }

    [Fact]
    public void A_restored_window_stands_as_the_one_that_was_written_down()
    {
        var fourth = new IoctlReply { ReturnValue = 4 };
        _window.Keep(4, fourth);
        ExpectStanding(OperationStanding.New, Operation(6, settled: 3), "a request");
        var restored = ReplayWindow.Restore(_window.Save()!);
        Expect.Equal(OperationStanding.Settled, restored.Begin(Operation(3), out _), "a settled request");
        Expect.Equal(OperationStanding.Answered, restored.Begin(Operation(4), out var answer), "an answered request");
        Expect.Equal<object?>(fourth, answer, "its answer");
        Expect.Equal(OperationStanding.New, restored.Begin(Operation(5), out _), "a new request");
        Expect.Equal(_window.Bytes, restored.Bytes, "bytes of what is kept");
    }

    [Fact]
    public void Random_sessions_are_answered_once()
    {
        // Every request runs exactly once, whatever is repeated or comes late, as long as its session has not given it up.
        Check.Sample(
            Gen.Select(Gen.Int[1, 40], Gen.Int[0, 40], Gen.Bool).Array[200],
            steps =>
            {
                var window = new ReplayWindow();
                var ran = new Dictionary<long, int>();
                var settled = 0L;
                foreach (var (sequence, lag, answers) in steps)
                {
                    settled = Math.Max(settled, Math.Min(sequence - 1, sequence - lag));
                    switch (window.Begin(Operation(sequence, settled), out var answer))
                    {
                        case OperationStanding.New:
                            Expect.That(sequence > settled, $"Request {sequence} runs, though {settled} are settled.");
                            Expect.That(!ran.ContainsKey(sequence), $"Request {sequence} runs twice.");
                            if (answers)
                            {
                                ran.Add(sequence, 1);
                                window.Keep(sequence, sequence);
                            }

                            break;
                        case OperationStanding.Answered:
                            Expect.Equal<object?>(sequence, answer, $"the answer to request {sequence}");
                            break;
                        default:
                            Expect.That(sequence <= settled, $"Request {sequence} is refused, though only {settled} are settled.");
                            break;
                    }
                }
            });
    }

    private static OperationId Operation(long sequence, long settled = 0) => new(Session, sequence, settled);

    private void ExpectStanding(OperationStanding expected, OperationId operation, string what) => Expect.Equal(expected, _window.Begin(operation, out _), what);
}
