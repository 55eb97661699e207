using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Grains.Monitoring;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Monitoring;

/// <summary>A silo's counts are exact when several threads count at once, and come in whole seconds.</summary>
public sealed class SiloStatisticsTests : IDisposable
{
    private readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeSeconds(1_000_000));
    private readonly ContextDirectory _directory = new();
    private readonly SiloStatistics _statistics;

    public SiloStatisticsTests() => _statistics = new SiloStatistics(_directory, _time);

    public void Dispose() => _statistics.Dispose();

    [Fact]
    public void Ioctls_are_counted_by_command_and_errno_and_numbers_that_are_no_command_together()
    {
        _statistics.CountIoctl((uint)IommuCommand.Destroy, Errno.None);
        _statistics.CountIoctl((uint)IommuCommand.Destroy, Errno.EBUSY);
        _statistics.CountIoctls((uint)IommuCommand.Destroy, Errno.EBUSY, 4);
        _statistics.CountIoctl(0, Errno.ENOTTY);
        _statistics.CountIoctl((uint)IommuCommand.Destroy ^ 0x10000, Errno.ENOTTY);
        _statistics.CountIoctl(uint.MaxValue, Errno.ENOTTY);
        Expect.Sequence(
            [new((uint)IommuCommand.Destroy, Errno.None, 1), new((uint)IommuCommand.Destroy, Errno.EBUSY, 5), new(0, Errno.ENOTTY, 3)], _statistics.Ioctls(), "counts");
    }

    [Fact]
    public void No_count_is_lost_when_all_count_at_once()
    {
        const int Each = 100_000;
        Parallel.For(0, 8, _ =>
        {
            for (var i = 0; i < Each; i++)
            {
                _statistics.CountIoctl((uint)IommuCommand.IoasMap, Errno.None);
            }
        });
        Expect.Equal(8L * Each, _statistics.Ioctls().Single().Count, "ioctls");
    }

    [Fact]
    public void Each_second_has_what_was_done_in_it()
    {
        _statistics.CountIoctl((uint)IommuCommand.IoasMap, Errno.None);
        _statistics.CountIoctl((uint)IommuCommand.IoasMap, Errno.EEXIST);
        _statistics.CountTurn(1_000);
        Expect.Sequence([], _statistics.Activity(0), "seconds before the first has ended");
        _time.Advance(TimeSpan.FromSeconds(1));
        _statistics.CountIoctl((uint)IommuCommand.IoasMap, Errno.None);
        _time.Advance(TimeSpan.FromSeconds(1));
        _time.Advance(TimeSpan.FromSeconds(1));
        Expect.Sequence(
            [(1_000_000L, 2L, 1L), (1_000_001, 1, 0), (1_000_002, 0, 0)], _statistics.Activity(0).Select(sample => (sample.Second, sample.Ioctls, sample.Errors)), "seconds");
        Expect.Equal(1L, _statistics.Activity(0)[0].TurnTimes[TurnTimeBuckets.IndexOf(1_000)], "turns of the first second");
        Expect.Sequence([1_000_002L], _statistics.Activity(1_000_001).Select(sample => sample.Second), "seconds after the second");
    }

    [Fact]
    public void The_past_is_bounded()
    {
        for (var i = 0; i < SiloStatistics.KeptSeconds + 20; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        var activity = _statistics.Activity(0);
        Expect.Equal((SiloStatistics.KeptSeconds, 1_000_000L + 20), (activity.Length, activity[0].Second), "seconds, and the first");
    }

    [Fact]
    public void Objects_and_holds_are_those_of_the_contexts_that_are_open()
    {
        var context = new OpenContext();
        var driver = context.Driver();
        var ioas = context.AllocateIoas();
        context.AskOk(driver, new AttachDeviceRequest(context.Bind(driver, "device"), new ObjectId(ioas)));
        var monitored = new MonitoredContext(context.Key, context.Model, _time, _statistics);
        _directory.Add(monitored);
        Expect.Equal((1L, 0L), (_statistics.Contexts, _statistics.DurableContexts), "contexts, and durable ones");
        Expect.Sequence(
            [(ObjectType.Ioas, 1L, 1L), (ObjectType.Device, 1, 1), (ObjectType.HwptPaging, 1, 1)],
            _statistics.Objects().Zip(_statistics.Holds(), (objects, holds) => (objects.Type, objects.Count, holds.Count)).Where(row => row.Item2 + row.Item3 > 0),
            "objects, and holds on them");
        Expect.Sequence(ObjectKinds.All.Kinds.Select(kind => kind.Type).Order(), _statistics.Objects().Select(count => count.Type).Order(), "kinds that are counted, also where there is none");

        context.AskOk(driver, new UnbindDeviceRequest(context.Objects.After(0).First(entry => entry.Type == ObjectType.Device).Id));
        Expect.Equal((1L, 0L), (_statistics.Objects().Sum(count => count.Count), _statistics.Holds().Sum(count => count.Count)), "objects and holds after the unbind");
        context.Objects.Release();
        Expect.Equal(0L, _statistics.Objects().Sum(count => count.Count), "objects after the release");
        _directory.Remove(monitored);
        Expect.Equal(0L, _statistics.Contexts, "contexts after the last one went");
    }

    [Fact]
    public void Every_sixteenth_turn_of_a_context_is_timed_and_every_ioctl_is_counted()
    {
        var monitored = new MonitoredContext(ContextHandle.NewRandom().Key, new ContextModel(), _time, _statistics);
        for (var i = 0; i < 160; i++)
        {
            monitored.Record(new IoctlRequest { Command = (uint)IommuCommand.Destroy }, new IoctlReply(), _time.GetTimestamp(), hasWaited: false);
        }

        Expect.Equal((160L, 160L, 10L), (monitored.Ioctls, _statistics.Ioctls().Single().Count, _statistics.TurnTimes().Sum()), "ioctls of the context and the silo, and turns timed");
    }
}
