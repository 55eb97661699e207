using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Calls;

// The lives of an object that one activation sees: its stamps decide which of them a call reaches.

public sealed class ObjectGrainTests
{
    private static readonly ObjectReply Lost = ObjectReply.Failed(Errno.EIO, null);
    private static readonly ObjectReply Fresh = new(Errno.None, 1);
    private static readonly ObjectReply WasSet = new(Errno.None, 0);

    private readonly IGrainContext _grainContext = FakeGrainContext.Create();
    private readonly IoasGrain _grain;

    public ObjectGrainTests() => _grain = new IoasGrain(FakeGrainContext.NewHost(_grainContext));

    private bool HasLeft => ((FakeGrainContext)(object)_grainContext).HasLeft;

    [Fact]
    public async Task The_first_call_that_may_build_starts_the_object_fresh()
        => Expect.Equal(Fresh, await Get(Stamp(1, 1)), "HUGE_PAGES of a new object");

    [Fact]
    public async Task State_is_kept_from_call_to_call_of_one_life()
    {
        await SetTo0(Stamp(1, 1));
        Expect.Equal(WasSet, await Get(Stamp(1, 1, mayBuild: false)), "HUGE_PAGES after it was set");
        Expect.Equal(WasSet, await Get(Stamp(1, 1)), "HUGE_PAGES by a call that might build, and need not");
    }

    [Fact]
    public async Task A_call_that_may_not_build_finds_lost_state_and_says_so()
    {
        Expect.Equal(Lost, await Get(Stamp(1, 1, mayBuild: false)), "HUGE_PAGES of an object that an earlier activation had");
        Expect.Equal(null, await _grain.InspectAsync(Stamp(1, 1, mayBuild: false), default), "the state of that object");
        Expect.Equal(Fresh, await Get(Stamp(1, 2)), "HUGE_PAGES of the next object");
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 1)]
    [InlineData(2, 3)]
    public async Task A_newer_life_starts_fresh_and_the_older_finds_nothing_then(long epoch, long serial)
    {
        await SetTo0(Stamp(1, 1));
        Expect.Equal(Fresh, await Get(Stamp(epoch, serial)), $"HUGE_PAGES of life {epoch}.{serial} after life 1.1");
        Expect.Equal(Lost, await Get(Stamp(1, 1)), "HUGE_PAGES of life 1.1 then, which might build");
        Expect.Equal(Lost, await Get(Stamp(1, 1, mayBuild: false)), "HUGE_PAGES of life 1.1 then, which might not");
        Expect.Equal(Fresh, await Get(Stamp(epoch, serial, mayBuild: false)), $"HUGE_PAGES of life {epoch}.{serial} after the late call");
    }

    [Fact]
    public async Task A_newer_life_that_may_not_build_leaves_the_current_one()
    {
        await SetTo0(Stamp(1, 1));
        Expect.Equal(Lost, await Get(Stamp(1, 2, mayBuild: false)), "HUGE_PAGES of a later life that is not here");
        Expect.Equal(WasSet, await Get(Stamp(1, 1, mayBuild: false)), "HUGE_PAGES of the life that is here");
    }

    [Fact]
    public async Task The_epoch_counts_before_the_serial()
    {
        await SetTo0(Stamp(2, 1));
        Expect.Equal(Lost, await Get(Stamp(1, 100)), "HUGE_PAGES of an earlier epoch with a greater serial");
        Expect.Equal(WasSet, await Get(Stamp(2, 1, mayBuild: false)), "HUGE_PAGES of the life that is here");
    }

    [Fact]
    public async Task After_its_destroy_a_life_finds_nothing_and_the_activation_leaves()
    {
        await SetTo0(Stamp(1, 1));
        Expect.That(!HasLeft, "The activation leaves before its object is destroyed.");
        await _grain.DestroyAsync(Stamp(1, 1), default, DestroyMode.Release);
        Expect.That(HasLeft, "The activation of a destroyed object stays.");
        Expect.Equal(Lost, await Get(Stamp(1, 1)), "HUGE_PAGES of a destroyed object, by a call that might build");
        Expect.Equal(Lost, await Get(Stamp(1, 1, mayBuild: false)), "HUGE_PAGES of a destroyed object, by a call that might not");
        Expect.Equal(null, await _grain.InspectAsync(Stamp(1, 1, mayBuild: false), default), "the state of a destroyed object");
    }

    [Fact]
    public async Task A_newer_life_starts_fresh_after_a_destroy()
    {
        await SetTo0(Stamp(1, 1));
        await _grain.DestroyAsync(Stamp(1, 1), default, DestroyMode.Release);
        Expect.Equal(Fresh, await Get(Stamp(1, 2)), "HUGE_PAGES of the life after a destroyed one");
    }

    [Fact]
    public async Task A_destroy_before_any_call_ends_that_life_too()
    {
        await _grain.DestroyAsync(Stamp(1, 5), default, DestroyMode.Release);
        Expect.That(HasLeft, "An activation that was made by a destroy stays.");
        Expect.Equal(Lost, await Get(Stamp(1, 5)), "HUGE_PAGES of a life that ended before its first call");
        Expect.Equal(Lost, await Get(Stamp(1, 4)), "HUGE_PAGES of a life before it");
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(0, 9)]
    public async Task A_late_destroy_of_an_older_life_does_nothing(long epoch, long serial)
    {
        await SetTo0(Stamp(1, 2));
        await _grain.DestroyAsync(Stamp(epoch, serial), default, DestroyMode.Release);
        Expect.That(!HasLeft, $"A destroy of life {epoch}.{serial} made life 1.2 leave.");
        Expect.Equal(WasSet, await Get(Stamp(1, 2, mayBuild: false)), $"HUGE_PAGES of life 1.2 after a destroy of {epoch}.{serial}");
    }

    [Fact]
    public async Task Destroying_a_life_twice_is_harmless()
    {
        await SetTo0(Stamp(1, 1));
        await _grain.DestroyAsync(Stamp(1, 1), default, DestroyMode.Release);
        await _grain.DestroyAsync(Stamp(1, 1), default, DestroyMode.Release);
        Expect.Equal(Fresh, await Get(Stamp(1, 2)), "HUGE_PAGES of the next life");
    }

    [Fact]
    public async Task An_inspection_shows_the_life_it_asks_for_and_builds_nothing()
    {
        Expect.Equal(null, await _grain.InspectAsync(Stamp(1, 1), default), "the state of an object that was not built");
        await SetTo0(Stamp(1, 2));
        Expect.Equal(false, Assert.IsType<IoasState>((await _grain.InspectAsync(Stamp(1, 2), default))!.Value.State).HugePages, "HUGE_PAGES of the life that is here");
        Expect.Equal(null, await _grain.InspectAsync(Stamp(1, 1), default), "the state of an earlier life");
        Expect.Equal(null, await _grain.InspectAsync(Stamp(1, 3), default), "the state of a later life");
        Expect.Equal(WasSet, await Get(Stamp(1, 2, mayBuild: false)), "HUGE_PAGES after the inspections");
    }

    private static ObjectStamp Stamp(long epoch, long serial, bool mayBuild = true) => new(epoch, serial, mayBuild);

    private ValueTask<ObjectReply> Get(ObjectStamp stamp) => _grain.HugePagesAsync(stamp, IommuOptionOp.Get, 0);

    private async Task SetTo0(ObjectStamp stamp)
        => Expect.Equal(WasSet, await _grain.HugePagesAsync(stamp, IommuOptionOp.Set, 0), $"setting HUGE_PAGES to 0 by {stamp}");
}
