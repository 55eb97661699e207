using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Reasons;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

// An ioctl that fails at any of its failure points must leave nothing behind. The next one is the same as if it had never been issued.

public sealed class FailurePointTests
{
    private static readonly Dictionary<string, (uint Points, Func<World, (Errno Errno, IoctlDiagnostic? Diagnostic)> Run)> Ioctls = new()
    {
        ["IOAS_ALLOC"] = (2, w => w.Ioctl(IommuCommand.IoasAlloc, default(IommuIoasAlloc))),
        ["IOAS_MAP"] = (2, w => w.Map(0x5000)),
        ["IOAS_UNMAP"] = (1, w => w.Ioctl(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = 1, Iova = 0x100000, Length = World.Page })),
        ["OPTION"] = (1, w => w.Ioctl(IommuCommand.Option, new IommuOption { OptionId = (uint)IommuOptionId.HugePages, Op = (ushort)IommuOptionOp.Set, ObjectId = 1 })),
        ["FAULT_QUEUE_ALLOC"] = (2, w => w.Ioctl(IommuCommand.FaultQueueAlloc, default(IommuFaultAlloc))),
        ["MOCK_DOMAIN"] = (4, w => w.Test(IommuTestOp.MockDomain, 2, default(IommuTestMockDomain))),
        ["HWPT_ALLOC"] = (2, w => w.Ioctl(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = w.Guest.Mock.OutIdevId, PtId = w.Guest.Ioas })),
        ["VIOMMU_ALLOC"] = (2, w => w.Ioctl(
            IommuCommand.ViommuAlloc, new IommuViommuAlloc { DevId = w.Guest.Mock.OutIdevId, HwptId = w.Guest.Parent, Type = (uint)IommuViommuType.Selftest })),
    };

    public static TheoryData<string> Names => [.. Ioctls.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void An_ioctl_that_fails_at_any_point_leaves_nothing_behind(string name)
    {
        var (points, run) = Ioctls[name];
        for (var point = 1U; point <= points; point++)
        {
            var world = MakeWorld();
            var before = Show(world);
            world.Fault = new FaultInjection(point, Errno.ENOMEM);
            var (errno, diagnostic) = run(world);
            Expect.Equal((Errno.ENOMEM, DiagnosticReason.FaultInjected, (ulong)point), (errno, diagnostic?.Reason, diagnostic?.Value), $"{name} that is to fail at point {point} of {points}");
            Expect.Equal(point, world.FailurePoints, $"the failure points that {name} passed, the one that failed included");
            Expect.Equal(before, Show(world), $"the objects after {name} failed at point {point}");
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void An_ioctl_that_has_fewer_points_succeeds_and_counts_them(string name)
    {
        var (points, run) = Ioctls[name];
        var world = MakeWorld();
        world.Fault = new FaultInjection(points + 1, Errno.ENOMEM);
        var (errno, diagnostic) = run(world);
        Expect.Equal(Errno.None, errno, $"{name} that is to fail at point {points + 1} of {points} ({diagnostic})");
        Expect.Equal(points, world.FailurePoints, $"the failure points of {name}");
    }

    [Fact]
    public void Destroy_has_no_failure_point()
    {
        var world = new World { Fault = new FaultInjection(1, Errno.ENOMEM) };
        Expect.Equal((Errno.None, 0U), (world.Ioctl(IommuCommand.Destroy, new IommuDestroy { Id = 1 }).Errno, world.FailurePoints), "DESTROY that is to fail, and its points");
    }

    [Fact]
    public void The_errno_is_the_one_that_was_asked_for()
    {
        var world = new World { Fault = new FaultInjection(1, Errno.EIO) };
        Expect.Equal(Errno.EIO, world.Map(0x5000).Errno, "IOAS_MAP that is to fail with EIO");
    }

    private static World MakeWorld()
    {
        var world = new World();
        _ = world.Guest;
        return world.With(w => w.Map(0x100000));
    }

    private static string Show(World world) => string.Join("; ", world.Context.Objects.After(0).Select(entry => $"{entry.Ref} users {entry.Users}"))
        + $"; {world.Context.ObjectGrains.Areas} areas; IOAS 1: {world.Context.IoasState(1).AreaCount}";
}
