using System.Runtime.CompilerServices;
using IommuFd.Client;
using IommuFd.ClusterTests.Devices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using static IommuFd.ClusterTests.Ioctls.RawGuest;
using static IommuFd.Uapi.Errno;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>What reads, writes and polls of files answer that ioctls have opened.</summary>
[Collection(DeviceCluster.Name)]
public sealed class FileErrnoTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const int Faults = 3;
    private const int Events = 4;
    private const int Access = 5;

    private static readonly int FaultBytes = Unsafe.SizeOf<IommuHwptPgfault>();
    private static readonly int EventBytes = Unsafe.SizeOf<IommufdVeventHeader>() + Unsafe.SizeOf<IommuViommuEventSelftest>();

    [Fact]
    public async Task A_file_that_is_closed_is_EBADF()
    {
        var guest = await OpenAsync();
        foreach (var descriptor in (int[])[Faults, Events, Access])
        {
            var file = File(guest, descriptor);
            await guest.Program.Memory.CloseFileAsync(descriptor);

            Assert.Equal(EBADF, (await file.ReadAsync(new byte[FaultBytes])).Errno);
            Assert.Equal(EBADF, (await file.WriteAsync(new byte[8])).Errno);
            var poll = await Assert.ThrowsAsync<IommufdException>(() => file.PollAsync().AsTask());
            Assert.Equal(EBADF, poll.Errno);
        }
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_or_written_is_EINVAL()
    {
        var guest = await OpenAsync();
        Assert.Equal(EINVAL, (await File(guest, Access).ReadAsync(new byte[8])).Errno);
        Assert.Equal(EINVAL, (await File(guest, Access).WriteAsync(new byte[8])).Errno);
        Assert.Equal(EINVAL, (await File(guest, Events).WriteAsync(new byte[8])).Errno);
    }

    [Fact]
    public async Task Bytes_that_are_not_whole_records_are_ESPIPE_for_a_fault_queue_only()
    {
        var guest = await OpenAsync();
        await FaultAsync(guest);
        await EventAsync(guest);

        Assert.Equal(ESPIPE, (await File(guest, Faults).ReadAsync(Nowhere, (ulong)FaultBytes - 1, guest.Program.Memory)).Errno);
        Assert.Equal(ESPIPE, (await File(guest, Faults).WriteAsync(Nowhere, 9, guest.Program.Memory)).Errno);
        Assert.Equal((None, 0), await ReadAsync(guest, Events, Data, EventBytes - 1));
        Assert.Equal((None, 0), await ReadAsync(guest, Faults, Nowhere, 0));
        Assert.Equal((None, EventBytes), await ReadAsync(guest, Events, Data, (2 * EventBytes) - 1));
        Assert.Equal((None, FaultBytes), await ReadAsync(guest, Faults, Data, FaultBytes));
    }

    [Theory]
    [InlineData(Faults)]
    [InlineData(Events)]
    public async Task A_record_that_cannot_be_written_is_EFAULT_if_it_is_the_first_and_stays(int descriptor)
    {
        var guest = await OpenAsync();
        var bytes = descriptor == Faults ? FaultBytes : EventBytes;
        for (var record = 0; record < 3; record++)
        {
            await FaultAsync(guest);
            await EventAsync(guest);
        }

        var end = Data + (4 * Page);
        Assert.Equal((EFAULT, 0), await ReadAsync(guest, descriptor, Nowhere, 3 * bytes));
        Assert.Equal((EFAULT, 0), await ReadAsync(guest, descriptor, end - 1, 3 * bytes));
        Assert.Equal((None, bytes), await ReadAsync(guest, descriptor, end - (ulong)bytes - 1, 3 * bytes));
        Assert.Equal((None, 2 * bytes), await ReadAsync(guest, descriptor, Data, 3 * bytes));
        Assert.Equal((None, 0), await ReadAsync(guest, descriptor, Nowhere, 3 * bytes));
    }

    [Fact]
    public async Task Responses_are_taken_up_to_the_first_bad_one_whose_errno_counts_if_it_is_the_first()
    {
        var guest = await OpenAsync();
        for (var group = 0; group < 3; group++)
        {
            await FaultAsync(guest);
        }

        await ReadAsync(guest, Faults, Data, 3 * FaultBytes);
        Task<FileResult> RespondAsync(params (uint Cookie, uint Code)[] responses) => File(guest, Faults).WriteAsync(
            responses.SelectMany(response => UapiStruct.ToBytes(new IommuHwptPageResponse { Cookie = response.Cookie, Code = response.Code })).ToArray()).AsTask();
        foreach (var (what, errno, reason, count, responses) in new (string, Errno, DiagnosticReason, int, (uint, uint)[])[]
        {
            ("an unknown code", EINVAL, DiagnosticReason.InvalidResponseCode, 0, [(4, 2), (1, 0)]),
            ("an unknown cookie", EINVAL, DiagnosticReason.CookieNotFound, 0, [(4, 0), (1, 0)]),
            ("a good one before an unknown cookie", None, DiagnosticReason.None, 8, [(1, 0), (4, 0), (2, 0)]),
            ("the cookie of one that was answered", EINVAL, DiagnosticReason.CookieNotFound, 0, [(1, 0)]),
            ("good ones before an unknown code", None, DiagnosticReason.None, 16, [(3, 1), (2, 0), (1, 7)]),
            ("nothing", None, DiagnosticReason.None, 0, []),
        })
        {
            var result = await RespondAsync(responses);
            var actual = (result.Errno, result.Diagnostic?.Reason ?? DiagnosticReason.None, result.Count);
            Assert.True(actual == (errno, reason, count), $"{what}: expected {(errno, reason, count)}, was {actual}");
        }
    }

    [Fact]
    public async Task A_response_that_cannot_be_read_is_EFAULT_if_it_is_the_first()
    {
        var guest = await OpenAsync();
        await FaultAsync(guest);
        await ReadAsync(guest, Faults, Data, FaultBytes);
        var last = Data + (4 * Page) - 8;
        guest.Program.Memory.Write(last, UapiStruct.ToBytes(new IommuHwptPageResponse { Cookie = 1 }));

        Assert.Equal(EFAULT, (await File(guest, Faults).WriteAsync(Nowhere, 8, guest.Program.Memory)).Errno);
        Assert.Equal(EFAULT, (await File(guest, Faults).WriteAsync(last + 1, 8, guest.Program.Memory)).Errno);
        var written = await File(guest, Faults).WriteAsync(last, 16, guest.Program.Memory);
        Assert.Equal((None, 8), (written.Errno, written.Count));
    }

    [Fact]
    public async Task What_can_be_done_with_a_file_is_what_it_has()
    {
        var guest = await OpenAsync();
        async Task ExpectAsync(string what, PollEvents faults, PollEvents events)
        {
            var actual = (await File(guest, Faults).PollAsync(), await File(guest, Events).PollAsync(), await File(guest, Access).PollAsync());
            Assert.True(actual == (faults, events, PollEvents.In | PollEvents.Out), $"{what}: was {actual}");
        }

        await ExpectAsync("empty queues", PollEvents.Out, PollEvents.None);
        await FaultAsync(guest);
        await ExpectAsync("a fault", PollEvents.In | PollEvents.Out, PollEvents.None);
        await EventAsync(guest);
        await ReadAsync(guest, Faults, Data, FaultBytes);
        await ExpectAsync("a fault that was read, and an event", PollEvents.Out, PollEvents.In);
        await ReadAsync(guest, Events, Data, EventBytes);
        await ExpectAsync("queues that were read", PollEvents.Out, PollEvents.None);
    }

    private static IommuFile File(RawGuest guest, int descriptor) => guest.Program.Memory.FindOpenedFile(descriptor)!;

    private static async Task<(Errno Errno, int Count)> ReadAsync(RawGuest guest, int descriptor, ulong address, int count)
    {
        var result = await File(guest, descriptor).ReadAsync(address, (ulong)count, guest.Program.Memory);
        return (result.Errno, result.Count);
    }

    private static Task FaultAsync(RawGuest guest)
        => guest.Program.ExpectAsync("a fault", None, IommuTestOp.TriggerIopf, 0, new IommuTestTriggerIopf { DevId = guest.Device.OutIdevId });

    private static Task EventAsync(RawGuest guest)
        => guest.Program.ExpectAsync("an event", None, IommuTestOp.TriggerVevent, 0, new IommuTestTriggerVevent { DevId = guest.Device.OutIdevId });

    // A device whose faults and events come, and a file of each kind.
    private async Task<RawGuest> OpenAsync()
    {
        var guest = await MakeAsync(Context, Ioas);
        var faults = await guest.Program.IoctlAsync(IommuCommand.FaultQueueAlloc, default(IommuFaultAlloc));
        var events = await guest.Program.IoctlAsync(
            IommuCommand.VeventqAlloc, new IommuVeventqAlloc { ViommuId = guest.Viommu.Value, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = 8 });
        Assert.Equal(((uint)Faults, (uint)Events, (uint)Access), (faults.OutFaultFd, events.OutVeventqFd, await guest.Program.CreateAccessAsync(Ioas)));
        await Context.AllocateVdeviceAsync(guest.Viommu, new ObjectId(guest.Device.OutIdevId), 0x20);
        var nested = await guest.Program.IoctlAsync(
            IommuCommand.HwptAlloc, guest.Nested(guest.Viommu) with { Flags = (uint)IommuHwptAllocFlags.FaultIdValid, FaultId = faults.OutFaultId });
        await guest.ReplaceAsync(new ObjectId(nested.OutHwptId));
        return guest;
    }
}
