using System.Runtime.InteropServices;
using IommuFd.Cli.Running;
using IommuFd.Uapi;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>Which objects a program has, by the records of its calls.</summary>
public sealed class LeakTrackerTests
{
    private readonly LeakTracker _leaks = new();

    [Fact]
    public void What_was_destroyed_is_no_leak()
    {
        _leaks.Add(Alloc(1));
        _leaks.Add(Destroy(1));

        Assert.Empty(_leaks.Ended);
    }

    [Fact]
    public void A_destroy_that_failed_leaves_its_object()
    {
        _leaks.Add(Alloc(1));
        _leaks.Add(Destroy(1, Errno.EBUSY));

        Assert.Equal(["IOAS 1"], Left());
    }

    [Fact]
    public void A_destroy_whose_record_comes_before_that_of_its_object_counts()
    {
        _leaks.Add(Destroy(1, start: 20));
        _leaks.Add(Alloc(1, start: 10));

        Assert.Empty(_leaks.Ended);
    }

    [Fact]
    public void An_id_that_is_used_again_is_another_object()
    {
        _leaks.Add(Destroy(1, start: 10));
        _leaks.Add(Alloc(1, start: 30));

        Assert.Equal(["IOAS 1"], Left());
    }

    [Fact]
    public void The_close_of_the_last_copy_ends_a_context_and_no_other_does()
    {
        _leaks.Add(Alloc(1));
        _leaks.Add(Record(TraceKind.Close, 0, [], [], result: 0));
        Assert.Null(Assert.Single(_leaks.Ended).Closer);

        _leaks.Add(Record(TraceKind.Close, 0, [], [], result: 1));
        Assert.NotNull(Assert.Single(_leaks.Ended).Closer);
    }

    [Fact]
    public void A_device_of_the_selftest_ends_with_its_owner_and_a_vDevice_with_its_device()
    {
        var made = new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.MockDomain, Fields = IommuTestCmdUnion.Of(new IommuTestMockDomain { OutStdevId = 2, OutHwptId = 3, OutIdevId = 4 }) };
        _leaks.Add(Ioctl(IommuCommand.TestCmd, made));
        _leaks.Add(Ioctl(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { Size = 32, DevId = 4, OutVdeviceId = 6 }));
        Assert.Equal(["selftest 2", "device 4", "vDevice 6"], Left());

        _leaks.Add(Destroy(2));

        Assert.Empty(_leaks.Ended);
    }

    private static TraceRecord Alloc(uint id, ulong start = 0) => Ioctl(IommuCommand.IoasAlloc, new IommuIoasAlloc { Size = 12, OutIoasId = id }, start);

    private static TraceRecord Destroy(uint id, Errno errno = Errno.None, ulong start = 0) => Ioctl(IommuCommand.Destroy, new IommuDestroy { Size = 8, Id = id }, start, errno);

    private static TraceRecord Ioctl<T>(IommuCommand command, T argument, ulong start = 0, Errno errno = Errno.None)
        where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in argument)).ToArray();
        return Record(TraceKind.Ioctl, (uint)command, bytes, bytes, start, errno);
    }

    private static TraceRecord Record(TraceKind kind, uint command, byte[] argument, byte[] answer, ulong start = 0, Errno errno = Errno.None, int result = 0) => new()
    {
        Kind = kind,
        Process = 1,
        Thread = 1,
        Errno = errno,
        StartNanoseconds = start,
        Nanoseconds = 5,
        Descriptor = 3,
        Command = command,
        Result = result,
        Cookie = 77,
        Caller = new CodePlace("program", 0x1234),
        Argument = argument,
        Answer = answer,
        Text = "",
    };

    private IEnumerable<string> Left() => Assert.Single(_leaks.Ended).Objects.Select(item => item.Object.ToString());
}
