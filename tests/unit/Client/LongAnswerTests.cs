using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Client;

// A batch's answer that comes in parts: fetched one after the other, each once unless it is lost, and settled when the caller has all of them.

public sealed class LongAnswerTests
{
    private const int Ioctls = 5;

    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly FakeContextGrain _grain = new();
    private readonly FakeTimeProvider _time = new();
    private readonly IommufdClient _client;

    public LongAnswerTests()
    {
        _client = new IommufdClient(_grain.Channel, new IommufdClientOptions { TimeProvider = _time, AttemptTimeout = 3 * Second });
        _grain.Batch = Part(0);
        _grain.Rest = Part;
    }

    [Fact]
    public async Task Parts_are_fetched_in_order_and_make_one_answer()
    {
        var context = await _client.OpenAsync();
        var results = await Batch(context).RunAsync();
        Expect.Sequence(Enumerable.Range(0, Ioctls), results.Select(result => result.ReturnValue), "the results");
        Expect.Sequence(["batch", "rest 2", "rest 4"], Calls, "calls");
        var first = _grain.Operations[0];
        Expect.Sequence([first, first with { IsRepeat = true }, first with { IsRepeat = true }], _grain.Operations, "the names of the batch and its parts");

        await context.AllocateIoasAsync();
        Expect.Equal(first.Sequence, _grain.Operations[^1].Settled, "what is settled when the answer is there");
    }

    [Fact]
    public async Task While_a_part_is_on_its_way_the_batch_is_not_sent_again_and_not_settled()
    {
        var context = await _client.OpenAsync();
        var arrived = new TaskCompletionSource();
        _grain.Faults.Enqueue(Fault.Delays(Task.CompletedTask));
        _grain.Faults.Enqueue(Fault.Delays(arrived.Task));
        Task<IReadOnlyList<IoctlResult>> running = null!;
        FakeTime.Here(() => running = Batch(context).RunAsync());
        _time.Pass(2.9 * Second);
        await context.DestroyAsync(new ObjectId(1));
        Expect.Equal(0L, _grain.Operations[^1].Settled, "what is settled while a part is on its way");
        FakeTime.Here(arrived.SetResult);
        await running;
        Expect.Equal(1, Calls.Count(call => call == "batch"), "how often the batch was sent");
    }

    [Fact]
    public async Task A_part_that_is_lost_is_fetched_again_alone()
    {
        var context = await _client.OpenAsync();
        _grain.Faults.Enqueue(Fault.Delays(Task.CompletedTask));
        _grain.Faults.Enqueue(Fault.Drops());
        Task<IReadOnlyList<IoctlResult>> running = null!;
        FakeTime.Here(() => running = Batch(context).RunAsync());
        _time.Pass(4 * Second);
        Expect.Equal(Ioctls, (await running).Count, "results");
        Expect.Sequence(["batch", "rest 2", "rest 2", "rest 4"], Calls, "calls");
    }

    [Fact]
    public async Task An_answer_that_is_no_longer_there_is_an_errno()
    {
        var context = await _client.OpenAsync();
        _grain.Rest = _ => new IoctlBatchReply { Errno = Errno.EBADF, Diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen } };
        var lost = await Assert.ThrowsAsync<IommufdException>(() => Batch(context).RunAsync());
        Expect.Equal(Errno.EBADF, lost.Errno, "the errno where the context was lost meanwhile");
    }

    [Fact]
    public async Task A_request_that_is_too_large_is_E2BIG_and_not_sent()
    {
        var context = await _client.OpenAsync();
        await using var driver = await _client.GetDriverAsync(context.Handle, "driver");
        _grain.Calls.Clear();
        var memory = new CallerMemory();
        memory.Add(0x10000, new byte[IoctlLimits.MaxBufferBytes]);
        var argument = UapiStruct.ToBytes(new IommuIoasAllowIovas { Size = 24, NumIovas = IoctlLimits.MaxBufferBytes / 16, AllowedIovas = 0x10000 });
        memory.Add(0x1000, argument);
        var batch = context.CreateBatch();
        for (var i = 0; i < 65; i++)
        {
            batch.Add((uint)IommuCommand.IoasAllowIovas, 0x1000, memory);
        }

        var refused = await Assert.ThrowsAsync<IommufdException>(() => batch.RunAsync());
        Expect.Equal((Errno.E2BIG, DiagnosticReason.RequestTooLarge), (refused.Errno, refused.Diagnostic!.Reason), "a batch of 65 MiB");
        var device = new DeviceDescription { Name = "device", ReservedRegions = new IovaRange[(IoctlLimits.MaxRequestBytes / WireSize.Flat) + 1] };
        refused = await Assert.ThrowsAsync<IommufdException>(() => driver.BindDeviceAsync(device));
        Expect.Equal((Errno.E2BIG, DiagnosticReason.RequestTooLarge), (refused.Errno, refused.Diagnostic!.Reason), "a device with 2^20 regions");
        Expect.Sequence([], _grain.Calls, "calls");
    }

    private IEnumerable<string> Calls => _grain.Calls.Select(call => call switch
    {
        IoctlBatchRequest { TakesParts: true } => "batch",
        ValueTuple<string, int> rest => $"{rest.Item1} {rest.Item2}",
        _ => "",
    }).Where(call => call.Length > 0);

    private static IoctlBatch Batch(IommuContext context)
    {
        var batch = context.CreateBatch();
        for (var i = 0; i < Ioctls; i++)
        {
            batch.AllocateIoas();
        }

        return batch;
    }

    private static IoctlBatchReply Part(int from)
    {
        var end = Math.Min(from + 2, Ioctls);
        return new IoctlBatchReply { Replies = [.. Enumerable.Range(from, end - from).Select(i => new IoctlReply { ReturnValue = i })], Missing = Ioctls - end };
    }
}
