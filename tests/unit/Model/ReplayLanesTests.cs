using CsCheck;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Model;

/// <summary>The answers of a session whose requests come by several lanes.</summary>
public sealed class ReplayLanesTests
{
    private readonly ReplayLanes _lanes = new();

    [Fact]
    public void Lanes_have_numbers_of_their_own()
    {
        ExpectStanding(OperationStanding.New, Operation(5, 1), "the first request of a lane");
        _lanes.Keep(Operation(5, 1), "five");
        ExpectStanding(OperationStanding.New, Operation(6, 1), "the first request of another");
        ExpectStanding(OperationStanding.New, Operation(0, 1), "the first request without a lane");
        Expect.Equal(OperationStanding.Answered, _lanes.Begin(Operation(5, 1), out var answer, out _), "the first request, sent again");
        Expect.Equal("five", answer, "its answer");
        ExpectStanding(OperationStanding.New, Operation(5, 2, settled: 1), "the next request of the lane");
        ExpectStanding(OperationStanding.Settled, Operation(5, 1), "the first request, come late");
    }

    [Fact]
    public void The_lane_that_was_not_used_for_longest_goes_where_there_are_too_many()
    {
        for (var lane = 1; lane <= IoctlLimits.MaxLanes; lane++)
        {
            _lanes.Keep(Operation(lane, 1), "kept");
        }

        ExpectStanding(OperationStanding.Answered, Operation(1, 1), "the oldest lane");
        ExpectStanding(OperationStanding.New, Operation(-1, 1), "one lane more");
        Expect.Equal(IoctlLimits.MaxLanes, _lanes.Count, "how many there are");
        ExpectStanding(OperationStanding.Answered, Operation(1, 1), "the oldest lane, which was used since");
        ExpectStanding(OperationStanding.New, Operation(2, 1), "the lane that was not used for longest");
    }

    [Fact]
    public void Lanes_with_many_bytes_go_and_the_last_used_one_stays()
    {
        var large = new IoctlReply { Argument = new byte[ReplayLanes.MaxBytes / 2] };
        for (var lane = 1; lane <= 3; lane++)
        {
            _lanes.Keep(Operation(lane, 1), large);
        }

        Expect.That(_lanes.Count < 3, "Three lanes with more than is permitted are kept.");
        ExpectStanding(OperationStanding.Answered, Operation(3, 1), "the last used one");
        _lanes.Keep(Operation(4, 1), new IoctlReply { Argument = new byte[ReplayLanes.MaxBytes * 2] });
        Expect.Equal(1, _lanes.Count, "lanes beside one that has more than is permitted alone");
        ExpectStanding(OperationStanding.Answered, Operation(4, 1), "that one");
    }

    [Fact]
    public void Restored_lanes_stand_as_those_that_were_saved()
    {
        _lanes.Keep(Operation(0, 1), IoctlReply.Success);
        _lanes.Keep(Operation(7, 3), IoctlReply.Success);
        ExpectStanding(OperationStanding.New, Operation(8, 9, settled: 8), "a request that settles eight");
        var restored = ReplayLanes.Restore(_lanes.Save(), _lanes.SaveLanes());
        Expect.Equal(OperationStanding.Answered, restored.Begin(Operation(0, 1), out _, out _), "a request without a lane");
        Expect.Equal(OperationStanding.Answered, restored.Begin(Operation(7, 3), out _, out _), "a request of a lane");
        Expect.Equal(OperationStanding.Settled, restored.Begin(Operation(8, 8), out _, out _), "a settled request of a lane");
    }

    [Fact]
    public void Saved_lanes_that_break_the_rules_are_refused()
    {
        var replies = new ReplaySnapshot { Settled = 1, Sequences = default };
        Assert.Throws<InvalidDataException>(() => ReplayLanes.Restore(null, [new LaneSnapshot { Lane = 0, Replies = replies }]));
        Assert.Throws<InvalidDataException>(() => ReplayLanes.Restore(null, [new LaneSnapshot { Lane = 1, Replies = replies }, new LaneSnapshot { Lane = 1, Replies = replies }]));
        Assert.Throws<InvalidDataException>(() => ReplayLanes.Restore(null, [new LaneSnapshot { Lane = 1, Replies = null! }]));
        Assert.Throws<InvalidDataException>(() => ReplayLanes.Restore(
            null, [.. Enumerable.Range(1, IoctlLimits.MaxLanes + 1).Select(lane => new LaneSnapshot { Lane = lane, Replies = replies })]));
    }

    [Fact]
    public void Random_requests_stand_as_in_a_window_for_each_lane()
        => Check.Sample(
            Gen.Select(Gen.Int[0, 4], Gen.Int[1, 20], Gen.Int[0, 20], Gen.Bool).Array[300],
            steps =>
            {
                var lanes = new ReplayLanes();
                var windows = Enumerable.Range(0, 5).Select(_ => new ReplayWindow()).ToArray();
                foreach (var (lane, sequence, lag, answers) in steps)
                {
                    var operation = Operation(lane, sequence, Math.Max(0, sequence - 1 - lag));
                    var expected = windows[lane].Begin(operation, out var first);
                    Expect.Equal(expected, lanes.Begin(operation, out var second, out var bytes), $"request {sequence} of lane {lane}");
                    Expect.Equal((first, windows[lane].Bytes), (second, bytes), "its answer, and the bytes of the lane");
                    if (expected == OperationStanding.New && answers)
                    {
                        windows[lane].Keep(sequence, IoctlReply.Success);
                        lanes.Keep(operation, IoctlReply.Success);
                    }
                }
            });

    private static OperationId Operation(long lane, long sequence, long settled = 0) => new(7, sequence, settled, Lane: lane);

    private void ExpectStanding(OperationStanding expected, OperationId operation, string what) => Expect.Equal(expected, _lanes.Begin(operation, out _, out _), what);
}
