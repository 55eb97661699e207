using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Objects.FaultQueues;
using IommuFd.Grains.Objects.Veventqs;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Queues;

/// <summary>A queue that nobody reads does not grow for ever.</summary>
public sealed class QueueLimitTests
{
    private static readonly int FaultBytes = Unsafe.SizeOf<IommuHwptPgfault>();

    [Fact]
    public void Events_beyond_what_a_deep_queue_can_keep_are_ENOMEM_and_counted_as_lost()
    {
        var queue = new VeventqModel(depth: IoctlLimits.MaxQueued + 1);
        for (var reported = 0; reported < IoctlLimits.MaxQueued; reported++)
        {
            Expect.Equal(Errno.None, queue.Report([1]), $"event {reported}");
        }

        Expect.Equal(Errno.ENOMEM, queue.Report([1]), "an event more than the queue can keep");
        Expect.Equal((IoctlLimits.MaxQueued, 1L), (queue.Waiting, queue.Lost), "the events that wait, and those that are lost");
    }

    [Fact]
    public void Events_beyond_the_depth_of_a_queue_are_lost_without_an_errno()
    {
        var queue = new VeventqModel(depth: 1);
        Expect.Sequence([Errno.None, Errno.None], [queue.Report([1]), queue.Report([1])], "the errnos of two events");
        Expect.Equal((1, 1L), (queue.Waiting, queue.Lost), "the events that wait, and those that are lost");
    }

    [Fact]
    public void Faults_count_until_they_are_answered_and_a_group_is_taken_whole_or_not_at_all()
    {
        var queue = new FaultQueueModel();
        var half = new FaultGroup(new ObjectId(1), 0, new byte[FaultBytes * IoctlLimits.MaxQueued / 2]);
        Expect.Equal((true, true), (queue.TryReport(half), queue.TryReport(half)), "whether two halves are taken");
        var one = new FaultGroup(new ObjectId(2), 0, new byte[FaultBytes]);
        Expect.That(!queue.TryReport(one), "A full queue takes a fault.");

        Expect.Equal(0, queue.Run(new ReadFileRequest((ulong)FaultBytes, (ulong)FaultBytes)).Count, "the bytes that are read of a group that does not fit");
        Expect.Equal(2, queue.Discard(new ObjectId(1), 0), "the groups of a device that leaves");
        Expect.That(queue.TryReport(one), "A queue whose faults were answered takes none.");
    }
}
