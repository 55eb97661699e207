using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Calls;

// The objects that a context keeps: which of them get an activation, and what becomes of their state.

public sealed class KeptObjectTests
{
    private const ulong Page = 4096;

    private readonly NearObjects _near = new(isOn: true, mostKept: 2);
    private readonly List<IIoasGrain> _activations = [];
    private readonly OpenContext _context = new();
    private readonly ObjectGrains _grains;
    private readonly ObjectEntry _ioas;

    // Makes the grain that is asked for: an activation on the context's silo, unless a test says otherwise.
    private Func<IIoasGrain> _activate;

    public KeptObjectTests()
    {
        _activate = () => new IoasGrain(FakeGrainContext.NewHost(near: _near));
        var factory = FakeGrainFactory.For((_, _) =>
        {
            _activations.Add(_activate());
            return _activations[^1];
        });
        _grains = new ObjectGrains(new ObjectReach(factory, null, _near), _context.Key, OpenContext.Epoch, NullLogger.Instance);
        _ioas = _context.Add();
    }

    [Fact]
    public async Task A_small_object_has_no_activation()
    {
        await SetHugePagesAsync(0);
        await MapAsync(2);
        await ExpectStateAsync(areas: 2, activations: 0);
        Expect.Equal(2L, _grains.Areas, "the areas that the context knows of");
        Expect.Equal(default, await _grains.DestroyAsync(_ioas), "the end of the IOAS");
        Expect.Equal((0L, 0), (_grains.Areas, _activations.Count), "areas and activations behind its end");
    }

    [Fact]
    public async Task One_that_has_grown_is_activated_with_all_its_state_by_its_next_call()
    {
        await SetHugePagesAsync(0);
        Expect.Equal(default, await _grains.HoldAsync(_ioas), "a hold that it is told of");
        await MapAsync(3);
        await ExpectStateAsync(areas: 3, activations: 0, users: 2);
        await MapAsync(1);
        await ExpectStateAsync(areas: 4, activations: 1, users: 2);
        var stamp = new ObjectStamp(OpenContext.Epoch, _ioas.Serial, MayBuild: false);
        Expect.Equal(2L, await _activations[0].UsersAsync(stamp, default), "the users that the activation counts");
        Expect.Equal(null, _near.TakeMoved(FakeGrainContext.Create().GrainId, stamp), "what is left for an activation");
    }

    [Fact]
    public async Task An_inspection_while_it_moves_to_its_activation_sees_what_it_has()
    {
        Task<(ObjectState? State, long? Users)>? inspecting = null;
        var activate = _activate;
        _activate = () =>
        {
            inspecting ??= _grains.InspectAsync(_ioas, new StatePage(0, 16)).AsTask();
            return activate();
        };
        await GrowAsync();
        await MapAsync(1);
        Expect.Equal(4, Assert.IsType<IoasState>((await inspecting!).State).AreaCount, "areas that an inspection sees which began while the IOAS moved");
    }

    [Fact]
    public async Task An_activation_that_has_taken_it_and_is_lost_is_EIO_and_not_what_was_kept()
    {
        await GrowAsync();
        await MapAsync(1);
        await ((IGrainBase)_activations[0]).OnDeactivateAsync(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, "test"), CancellationToken.None);
        await _activations[0].DestroyAsync(new ObjectStamp(OpenContext.Epoch, _ioas.Serial, MayBuild: false), default, DestroyMode.Release);
        Expect.Equal((Errno.EIO, true), ((await GetHugePagesAsync()).Errno, _grains.HasLost), "HUGE_PAGES of an IOAS whose activation is lost");
    }

    [Fact]
    public async Task Where_the_activation_is_on_another_silo_the_context_goes_on_keeping_it()
    {
        _activate = () => new IoasGrain(FakeGrainContext.NewHost(near: new NearObjects(isOn: true)));
        await GrowAsync();
        await MapAsync(1);
        await ExpectStateAsync(areas: 4, activations: 1);
        Expect.Equal(null, await _activations[0].SnapshotAsync(new ObjectStamp(OpenContext.Epoch, _ioas.Serial, MayBuild: false)), "the state that the other activation has");
    }

    [Fact]
    public async Task Where_it_can_not_be_activated_the_context_goes_on_keeping_it()
    {
        var failing = new FakeIoas { Failure = new TimeoutException("no answer") };
        _activate = () => failing;
        await GrowAsync();
        await MapAsync(1);
        failing.Failure = null;
        await ExpectStateAsync(areas: 4, activations: 1);
    }

    [Fact]
    public async Task An_activation_of_another_life_does_not_take_it()
    {
        var activation = new IoasGrain(FakeGrainContext.NewHost(near: _near));
        await activation.HugePagesAsync(new ObjectStamp(OpenContext.Epoch + 1, 1, MayBuild: true), IommuOptionOp.Get, 0);
        _activate = () => activation;
        await GrowAsync();
        await MapAsync(1);
        await ExpectStateAsync(areas: 4, activations: 1);
        Expect.That(await activation.SnapshotAsync(new ObjectStamp(OpenContext.Epoch + 1, 1, MayBuild: false)) is not null, "The later life has lost its state.");
    }

    [Fact]
    public async Task Nothing_is_kept_where_objects_are_called_by_messages()
    {
        var context = new OpenContext();
        var entry = context.Add();
        var grains = new ObjectGrains(new ObjectReach(context.Grains.Factory, null, TestProofs.NoneNear), context.Key, OpenContext.Epoch, NullLogger.Instance);
        await grains.CallAsync<IIoasGrain, int, ObjectReply>(entry, 0, static (grain, stamp, _) => grain.HugePagesAsync(stamp, IommuOptionOp.Get, 0));
        Expect.Equal(1, context.GrainOf(1).Calls.Count, "calls of the grain");
    }

    // More areas than the context keeps; HUGE_PAGES is off.
    private async Task GrowAsync()
    {
        await SetHugePagesAsync(0);
        await MapAsync(3);
    }

    private async Task ExpectStateAsync(int areas, int activations, long users = 1)
    {
        var (state, counted) = await _grains.InspectAsync(_ioas, new StatePage(0, 16));
        var ioas = Assert.IsType<IoasState>(state);
        Expect.Equal((areas, false, users, activations), (ioas.AreaCount, ioas.HugePages, counted, _activations.Count), "areas, HUGE_PAGES, users, and activations");
        Expect.Equal(users, await _grains.UsersAsync(_ioas), "users by the call that asks for them");
        Expect.That(await _grains.SnapshotAsync(_ioas) is IoasSnapshot, "There is nothing to save.");
        Expect.Equal(false, _grains.HasLost, "whether state is lost");
    }

    private async Task MapAsync(int pages)
    {
        var request = new IoasMapRequest { Flags = (IommuIoasMapFlags)6, Address = 0x10000, Length = Page, ReadableBytes = Page, WritableBytes = Page };
        for (var page = 0; page < pages; page++)
        {
            var mapped = await _grains.CallAsync<IIoasGrain, IoasMapRequest, PinReply>(_ioas, request, static (grain, stamp, request) => grain.MapAsync(stamp, request, default));
            Expect.Equal(Errno.None, mapped.Errno, "a map");
        }
    }

    private async Task SetHugePagesAsync(ulong value)
        => Expect.Equal(Errno.None, (await HugePagesAsync(IommuOptionOp.Set, value)).Errno, "HUGE_PAGES set");

    private ValueTask<ObjectReply> GetHugePagesAsync() => HugePagesAsync(IommuOptionOp.Get, 0);

    private async ValueTask<ObjectReply> HugePagesAsync(IommuOptionOp op, ulong value)
        => await _grains.CallAsync<IIoasGrain, (IommuOptionOp Op, ulong Value), ObjectReply>(
            _ioas, (op, value), static (grain, stamp, argument) => grain.HugePagesAsync(stamp, argument.Op, argument.Value));
}
