using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

// A batch whose context has hardly any room for areas. Errnos and their order are compared with those of one by one in BatchRunTests.

public sealed class BatchTests
{
    private const uint PageBytes = 0x1000;

    private readonly OpenContext _context = new();
    private readonly uint _ioas;

    public BatchTests() => _ioas = _context.AllocateIoas();

    [Fact]
    public void Maps_find_the_room_that_unmaps_before_them_have_freed()
    {
        _context.ObjectGrains.MaxAreas = 3;
        var errnos = Run([Map(0), Map(1), Unmap(0), Map(2), Map(3), Map(4), Unmap(1), Map(5)]);
        Expect.Sequence([Errno.None, Errno.None, Errno.None, Errno.None, Errno.None, Errno.ENOMEM, Errno.None, Errno.None], errnos, "the errnos");
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
