using IommuFd.Grains.Calls;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Calls;

// What a context may enter of an activation on its silo, and when it must send a message instead.

public sealed class NearObjectTests
{
    private readonly IGrainContext _grainContext = FakeGrainContext.Create();
    private readonly NearObjects _near = new(isOn: true);
    private readonly IoasGrain _grain;

    public NearObjectTests() => _grain = new IoasGrain(FakeGrainContext.NewHost(_grainContext, _near));

    private INearObject Near => _grain;

    [Fact]
    public async Task An_activation_is_offered_by_its_first_turn_and_taken_once()
    {
        Expect.Equal(null, _near.Take(_grainContext.GrainId), "what is offered of a grain that was never called");
        await BeginAsync(1, 1);
        Expect.Equal(_grain, _near.Take(_grainContext.GrainId), "what is offered after the first turn");
        Expect.Equal(null, _near.Take(_grainContext.GrainId), "what is offered after it was taken");
    }

    [Fact]
    public async Task An_activation_that_nobody_took_is_withdrawn_when_it_ends()
    {
        await BeginAsync(1, 1);
        await EndAsync();
        Expect.Equal(null, _near.Take(_grainContext.GrainId), "what is offered of an activation that has ended");
    }

    [Fact]
    public async Task Nothing_is_offered_where_objects_are_called_by_messages()
    {
        var off = new NearObjects(isOn: false);
        var grain = new IoasGrain(FakeGrainContext.NewHost(_grainContext, off));
        await grain.HugePagesAsync(new ObjectStamp(1, 1, MayBuild: true), IommuOptionOp.Get, 0);
        Expect.Equal(null, off.Take(_grainContext.GrainId), "what is offered");
    }

    [Theory]
    [InlineData(1, 1, true)]
    [InlineData(1, 2, false)]
    [InlineData(2, 1, false)]
    [InlineData(0, 1, false)]
    public async Task Only_the_life_that_the_activation_has_can_be_entered(long epoch, long serial, bool canEnter)
    {
        await BeginAsync(1, 1);
        Expect.Equal(canEnter, Near.TryEnter(epoch, serial), $"whether life {epoch}.{serial} of an activation that has life 1.1 can be entered");
    }

    [Fact]
    public void An_activation_without_an_object_can_not_be_entered() => Expect.Equal(false, Near.TryEnter(0, 0), "whether it can be entered");

    [Fact]
    public async Task A_destroyed_object_can_not_be_entered_and_its_activation_has_ended()
    {
        await BeginAsync(1, 1);
        await _grain.DestroyAsync(new ObjectStamp(1, 1, MayBuild: false), default, DestroyMode.Release);
        Expect.Equal((false, true), (Near.TryEnter(1, 1), Near.HasEnded), "whether it can be entered, and has ended");
    }

    [Fact]
    public async Task An_activation_that_Orleans_ends_can_not_be_entered()
    {
        await BeginAsync(1, 1);
        Expect.Equal(false, Near.HasEnded, "whether it has ended before");
        await EndAsync();
        Expect.Equal((false, true), (Near.TryEnter(1, 1), Near.HasEnded), "whether it can be entered, and has ended");
    }

    [Fact]
    public async Task One_turn_at_a_time()
    {
        await BeginAsync(1, 1);
        var (inside, outside) = (false, false);
        var turn = new Thread(() =>
        {
            Expect.That(Near.TryEnter(1, 1), "A free activation can't be entered.");
            var other = new Thread(() => inside = Near.TryEnter(1, 1));
            other.Start();
            other.Join();
            Near.Leave();
        });
        turn.Start();
        turn.Join();
        outside = Near.TryEnter(1, 1);
        Expect.Equal((false, true), (inside, outside), "whether a thread can enter it while another one is in it, and then");
    }

    private async Task BeginAsync(long epoch, long serial)
        => Expect.Equal(Errno.None, (await _grain.HugePagesAsync(new ObjectStamp(epoch, serial, MayBuild: true), IommuOptionOp.Get, 0)).Errno, "the first turn");

    private Task EndAsync() => _grain.OnDeactivateAsync(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, "test"), CancellationToken.None);
}
