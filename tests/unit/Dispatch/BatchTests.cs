using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

// What a batch costs where its context has hardly any room for areas. Errnos and their order are compared with those of one by one in BatchRunTests.

public sealed class BatchTests
{
    private const uint PageBytes = 0x1000;

    // A decoded ioctl is about 100 bytes of a list that grows by doubling. Decoding the rest of the batch for each ioctl would be 100 times
    // as much, or more.
    private const long MaxBytesPerIoctl = 4096;

    private readonly OpenContext _context = new();
    private readonly uint _ioas;

    public BatchTests() => _ioas = _context.AllocateIoas();

    [Fact]
    public void Unmaps_of_a_full_context_go_to_their_IOAS_in_one_call_and_are_decoded_once()
    {
        Expect.Equal(Errno.None, Run([.. Pages().Select(Map)])[^1], "the last map");
        _context.ObjectGrains.MaxAreas = _context.ObjectGrains.Areas;
        _context.GrainOf(_ioas).Calls.Clear();

        var (errnos, allocated) = Measure([.. Pages().Select(Unmap)]);

        Expect.That(errnos.TrueForAll(errno => errno == Errno.None), "An unmap has failed.");
        Expect.Sequence(["Run"], _context.GrainOf(_ioas).Calls.Select(call => call.Call), "the calls of the IOAS's grain");
        Expect.That(allocated < MaxBytesPerIoctl * IoctlLimits.MaxBatch, $"The batch allocates {allocated} bytes.");
    }

    [Fact]
    public void Unmaps_that_free_nothing_in_a_full_context_are_decoded_once_too()
    {
        Expect.Equal(Errno.None, Run([Map(0)])[0], "the map");
        _context.ObjectGrains.MaxAreas = 1;
        var (errnos, allocated) = Measure([.. Pages().Select(page => Unmap(page + IoctlLimits.MaxBatch))]);
        Expect.That(errnos.TrueForAll(errno => errno == Errno.ENOENT), "An unmap of nothing was answered otherwise.");
        Expect.That(allocated < MaxBytesPerIoctl * IoctlLimits.MaxBatch, $"The batch allocates {allocated} bytes.");
    }

    [Fact]
    public void Maps_join_a_run_while_there_is_room_for_them()
    {
        _context.ObjectGrains.MaxAreas = 3;
        var errnos = Run([Map(0), Map(1), Unmap(0), Map(2), Map(3), Map(4), Unmap(1), Map(5)]);
        Expect.Sequence([Errno.None, Errno.None, Errno.None, Errno.None, Errno.None, Errno.ENOMEM, Errno.None, Errno.None], errnos, "the errnos");

        // Three maps with the unmap between them; the fourth finds the room that the unmap has freed, and the fifth finds none. Behind it
        // there is no room for a run.
        Expect.Sequence(["Run", "Map", "Unmap", "Map"], _context.GrainOf(_ioas).Calls.Select(call => call.Call), "the calls of the IOAS's grain");
    }

    [Fact]
    public void Maps_of_a_full_context_are_decoded_a_few_times_at_most()
    {
        Expect.Equal(Errno.None, Run([Map(0)])[0], "the map");
        _context.ObjectGrains.MaxAreas = 1;
        var (errnos, allocated) = Measure([.. Pages().Select(page => Map(page + 1))]);
        Expect.That(errnos.TrueForAll(errno => errno == Errno.ENOMEM), "A map found room.");
        Expect.That(allocated < MaxBytesPerIoctl * IoctlLimits.MaxBatch, $"The batch allocates {allocated} bytes.");
    }

    private static IEnumerable<uint> Pages() => Enumerable.Range(0, IoctlLimits.MaxBatch).Select(page => (uint)page);

    private (List<Errno> Errnos, long Allocated) Measure(IoctlRequest[] requests)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var errnos = Run(requests);
        return (errnos, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private List<Errno> Run(IoctlRequest[] requests)
    {
        var running = ContextOperations.BatchAsync(new IoctlScope(_context.Model, _context.ObjectGrains), new IoctlBatchRequest { Requests = requests }).AsTask();
        Expect.That(running.IsCompletedSuccessfully, "The batch took time.");
        return [.. running.Result.Replies.Select(reply => reply.Errno)];
    }

    private IoctlRequest Map(uint page) => TestDevices.Request(
        IommuCommand.IoasMap,
        new IommuIoasMap { Size = 40, Flags = 7, IoasId = _ioas, UserVa = 0x1000_0000 + ((ulong)page * PageBytes), Length = PageBytes, Iova = (ulong)page * PageBytes },
        new UserBuffer { Length = PageBytes, ReadableBytes = PageBytes, WritableBytes = PageBytes });

    private IoctlRequest Unmap(uint page) => TestDevices.Request(
        IommuCommand.IoasUnmap, new IommuIoasUnmap { Size = 24, IoasId = _ioas, Iova = (ulong)page * PageBytes, Length = PageBytes }, new UserBuffer());
}
