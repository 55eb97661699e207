using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Calls;

// Which stamps the context gives the grains of its objects, and which of them it calls at all.

public sealed class ObjectGrainsTests
{
    private readonly OpenContext _context = new();

    [Fact]
    public async Task Each_object_has_a_grain_by_its_contexts_key_and_its_id()
    {
        await Get(_context.Add());
        await Get(_context.Add());
        Expect.Sequence(
            [$"{_context.Key}/1", $"{_context.Key}/2"], _context.Grains.Keys.Order(StringComparer.Ordinal),
            "the keys of the grains");
    }

    [Fact]
    public async Task A_call_may_build_the_object_until_one_was_answered()
    {
        var entry = _context.Add();
        await Get(entry);
        await Get(entry);
        Expect.Sequence(
            [("HugePages", new ObjectStamp(OpenContext.Epoch, entry.Serial, true)), ("HugePages", new ObjectStamp(OpenContext.Epoch, entry.Serial, false))],
            _context.GrainOf(1).Calls,
            "the calls of the grain");
    }

    [Fact]
    public async Task A_call_that_failed_is_no_answer_so_the_next_may_build()
    {
        var entry = _context.Add();
        _context.Grains.Factory.GetGrain<IIoasGrain>($"{_context.Key}/1");
        _context.GrainOf(1).Failure = new TimeoutException("no answer");
        Expect.Equal(Errno.EIO, (await Get(entry)).Errno, "the answer of a grain that does not answer");
        _context.GrainOf(1).Failure = null;
        Expect.Equal(new ObjectReply(Errno.None, 1), await Get(entry), "the answer when it does");
        Expect.Equal((true, true), (_context.GrainOf(1).Calls[0].Stamp.MayBuild, _context.GrainOf(1).Calls[1].Stamp.MayBuild), "MayBuild of both calls");
    }

    [Fact]
    public async Task An_EIO_is_no_answer_that_shows_state()
    {
        var entry = _context.Add();
        _context.Grains.Factory.GetGrain<IIoasGrain>($"{_context.Key}/1");
        _context.GrainOf(1).Answer = ObjectReply.Failed(Errno.EIO, null);
        await Get(entry);
        _context.GrainOf(1).Answer = new ObjectReply(Errno.EINVAL, 0);
        await Get(entry);
        await Get(entry);
        Expect.Sequence([true, true, false], _context.GrainOf(1).Calls.Select(call => call.Stamp.MayBuild), "MayBuild after EIO, and after EINVAL");
    }

    [Fact]
    public async Task State_that_was_lost_is_EIO_and_not_the_defaults()
    {
        var entry = _context.Add();
        await Get(entry);
        _context.GrainOf(1).Lose();
        Expect.Equal(Errno.EIO, (await Get(entry)).Errno, "the answer of a grain that has lost the object's state");
        Expect.Equal(Errno.EIO, (await Get(entry)).Errno, "the answer when asked again");
        Expect.Equal(null, (await _context.ObjectGrains.InspectAsync(entry, default)).State, "the state that an inspection shows");
    }

    [Fact]
    public async Task Looking_at_an_object_that_nobody_used_shows_its_fresh_state_and_activates_nothing()
    {
        Expect.Equal(IoasInspector.Show(new IoasModel(), default), (await _context.ObjectGrains.InspectAsync(_context.Add(), default)).State, "the state of a fresh IOAS");
        Expect.Sequence([], _context.Grains.Keys, "the grains that were asked for");
    }

    [Fact]
    public async Task Looking_at_a_used_object_asks_its_grain()
    {
        var entry = _context.Add();
        await _context.ObjectGrains.CallAsync<IIoasGrain, int, ObjectReply>(entry, 0, (grain, stamp, _) => grain.HugePagesAsync(stamp, IommuOptionOp.Set, 0));
        Expect.Equal(false, Assert.IsType<IoasState>((await _context.ObjectGrains.InspectAsync(entry, default)).State).HugePages, "HUGE_PAGES of the IOAS");
    }

    [Fact]
    public async Task Of_many_objects_only_grains_that_were_called_are_ended_each_once()
    {
        ObjectEntry[] entries = [.. Enumerable.Range(0, 500).Select(_ => _context.Add())];
        foreach (var entry in entries.Where(entry => entry.Id.Value % 2 == 0))
        {
            await Get(entry);
        }

        _context.GrainOf(100).Failure = new TimeoutException("no answer");
        await _context.ObjectGrains.EndAllAsync();
        Expect.Equal(250, _context.Grains.Keys.Count, "grains that were asked for");
        foreach (var entry in entries.Where(entry => entry.Id.Value % 2 == 0))
        {
            Expect.Equal(1, _context.GrainOf(entry.Id.Value).Calls.Count(call => call.Call == "Destroy"), $"ends of the grain of {entry.Ref}");
        }

        await _context.ObjectGrains.EndAllAsync();
        Expect.Equal(1, _context.GrainOf(2).Calls.Count(call => call.Call == "Destroy"), "ends of a grain after the objects were ended twice");
    }

    private async ValueTask<ObjectReply> Get(ObjectEntry entry)
        => await _context.ObjectGrains.CallAsync<IIoasGrain, int, ObjectReply>(entry, 0, (grain, stamp, _) => grain.HugePagesAsync(stamp, IommuOptionOp.Get, 0));
}
