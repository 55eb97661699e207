namespace IommuFd.ClusterTests.Gateway;

/// <summary>The files that ioctls open: their claims, what is read and written, and the marks that make their descriptors readable.</summary>
public sealed class QueueFileTests(GatewaySilo silo) : IClassFixture<GatewaySilo>
{
    private const uint Enoent = 2, Enotty = 25;
    private const int FaultBytes = 40;

    [Fact]
    public async Task A_claim_gives_a_descriptor_once()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var (_, answer) = await program.AllocateFaultQueueAsync();
        using var queue = await program.ClaimAsync(answer);
        using var second = await WireConnection.ConnectAsync(silo.Path + "-fd");
        await second.SendAsync(WireFrames.Hello(WireFrames.Descriptor), WireFrames.Claim(answer.Claim!));
        await second.AnswerAsync();
        var refused = await second.AnswerAsync();

        Assert.Equal(2, queue.Kind);
        Assert.Equal((Enoent, true), (refused.Number(0), await second.ReceiveAsync() is null));
        Assert.Equal(Enoent, (await program.Calls.CallAsync(WireFrames.Discard(1, answer.Claim!))).Number(0));
        Assert.Equal(Enotty, (await program.CallAsync(WireFrames.IoasAlloc(2, queue.Ticket))).Errno);
    }

    [Fact]
    public async Task A_claim_that_is_discarded_undoes_its_ioctl()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var (id, answer) = await program.AllocateFaultQueueAsync();
        var discarded = await program.Calls.CallAsync(WireFrames.Discard(program.NextTag(), answer.Claim!));

        Assert.Equal(0u, discarded.Number(0));
        Assert.Equal(Enoent, await program.DestroyAsync(id));
    }

    [Fact]
    public async Task What_a_program_has_not_claimed_goes_with_its_connection()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        using var other = await WireConnection.CallsAsync(silo.Path, program: 2);
        var opened = WireAnswer.Read(await other.CallAsync(WireFrames.Ioctl(1, program.Ticket, 0x3B8E, new WireBytes().U32(16, 0, 0, 0).ToArray())));
        other.Dispose();

        await Eventually.TrueAsync(async () => await program.DestroyAsync(opened.Argument(8)) == Enoent, "the fault queue that nobody claimed is gone");
    }

    [Fact]
    public async Task A_fault_queue_is_readable_exactly_while_it_has_faults()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var (id, answer) = await program.AllocateFaultQueueAsync();
        using var queue = await program.ClaimAsync(answer);
        var (_, device) = await program.AttachAsync(id);
        for (uint round = 1; round <= 20; round++)
        {
            Assert.False(queue.Connection.IsReadable, $"round {round}: the descriptor of a queue without faults is readable");
            await program.FaultAsync(device, round);
            Assert.True(queue.Connection.IsReadable, $"round {round}: the descriptor of a queue with a fault is not readable when the ioctl that raised it is answered");
            await program.FaultAsync(device, round + 100);

            var (first, isEmpty) = await ReadAsync(program, queue, FaultBytes);
            Assert.True((first.Length, isEmpty) == (FaultBytes, false), $"round {round}: the first read gives one fault of two, it gave {first.Length} bytes and {isEmpty}");
            var (second, isEmptyNow) = await ReadAsync(program, queue, 4 * FaultBytes);
            Assert.True((second.Length, isEmptyNow) == (FaultBytes, true), $"round {round}: the second read gives the last fault, it gave {second.Length} bytes and {isEmptyNow}");
            Assert.True(queue.Connection.TakeMarks() == 1, $"round {round}: there is one mark, however many faults there were");
            await program.Calls.SendAsync(WireFrames.Took(queue.Ticket));
            foreach (var fault in (byte[][])[first, second])
            {
                var written = await program.Calls.CallAsync(WireFrames.Write(program.NextTag(), queue.Ticket, [.. fault[^4..], 0, 0, 0, 0]));
                Assert.True((written.Number(0), written.Number(4)) == (0, 8), $"round {round}: a response is written, the answer was {written}");
            }
        }

        var (nothing, _) = await ReadAsync(program, queue, FaultBytes);
        Assert.Empty(nothing);
        Assert.True(queue.Connection.IsWritable, "the descriptor of a fault queue is writable");
    }

    [Fact]
    public async Task An_ioctl_that_empties_a_queue_names_it()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var (id, answer) = await program.AllocateFaultQueueAsync();
        using var queue = await program.ClaimAsync(answer);
        var (stdev, device) = await program.AttachAsync(id);
        await program.FaultAsync(device, 1);
        await queue.Connection.ReadableAsync("a fault");

        // The device goes, and its faults with it.
        var destroyed = await program.ExpectAsync(WireFrames.Destroy(program.NextTag(), program.Ticket, stdev), "DESTROY of the device's owner");

        Assert.Equal(queue.Ticket, Assert.Single(destroyed.Emptied));
    }

    [Fact]
    public async Task A_program_that_leaves_its_marks_unread_holds_up_no_other()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var (id, answer) = await program.AllocateFaultQueueAsync();
        using var queue = await program.ClaimAsync(answer);
        await program.FaultAsync((await program.AttachAsync(id)).Device, 1);

        // The queue stays readable. Each time that a mark is said to be taken, another is sent, until no more fit; then the descriptor ends.
        await Eventually.TrueAsync(
            async () =>
            {
                await program.Calls.SendAsync([.. Enumerable.Repeat(WireFrames.Took(queue.Ticket), 64)]);
                return (await program.Calls.CallAsync(WireFrames.Closed(program.NextTag(), queue.Ticket))).Number(0) == 1;
            },
            "the descriptor whose marks stay unread is cut");

        using var other = await WireProgram.OpenAsync(silo.Path);
        Assert.Equal(1u, await other.AllocateIoasAsync());
        Assert.NotEqual(0u, await program.AllocateIoasAsync());
    }

    [Fact]
    public async Task An_event_queue_is_readable_while_it_has_events_and_never_writable()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var (device, viommu) = await GuestAsync(program);
        var answer = await program.ExpectAsync(
            WireFrames.Ioctl(program.NextTag(), program.Ticket, 0x3B93, new WireBytes().U32(32, 0, viommu, 0xBEEFBEEF, 8, 0, 0, 0).ToArray()), "VEVENTQ_ALLOC");
        using var queue = await program.ClaimAsync(answer);
        await queue.Connection.SendAsync(WireFrames.Pad(65536));

        Assert.Equal(4, queue.Kind);
        Assert.False(queue.Connection.IsWritable, "the padded descriptor of an event queue is writable");
        Assert.False(queue.Connection.IsReadable, "the descriptor of a queue without events is readable");
        await program.TestAsync(17, 0, device);
        Assert.True(queue.Connection.IsReadable, "the descriptor of a queue with an event is not readable");
        var (events, isEmpty) = await ReadAsync(program, queue, 4096);
        Assert.True(events.Length > 0 && isEmpty, $"the read empties the queue, it gave {events.Length} bytes and {isEmpty}");

        // Proofs still fit behind the pad.
        var nonce = new byte[16];
        nonce[0] = 1;
        await queue.Connection.SendAsync(WireFrames.Prove(nonce));
        var resolved = await program.Calls.CallAsync(WireFrames.Resolve(program.NextTag(), nonce));
        Assert.Equal((0u, 4), (resolved.Number(0), resolved.Body[4]));
        Assert.False(queue.Connection.IsWritable, "the descriptor is writable after a proof");
    }

    // A device whose faults go to a queue.
    private static async Task<(byte[] Bytes, bool IsEmpty)> ReadAsync(WireProgram program, WireDescriptor queue, ulong count)
    {
        var answer = await program.Calls.CallAsync(WireFrames.Read(program.NextTag(), queue.Ticket, count));
        Assert.True(answer.Kind == 0x91 && answer.Number(0) == 0, $"the queue is read, the answer was {answer}");
        var length = (int)answer.Number(12);
        Assert.True(answer.Number(4) == length && answer.Body.Length == 24 + length, $"the count is the data's length, the answer was {answer}");
        return (answer.Body[24..], answer.Body[8] == 1);
    }

    // A device that a guest's IOMMU knows, attached to a page table of the guest.
    private static async Task<(uint Device, uint Viommu)> GuestAsync(WireProgram program)
    {
        var ioas = await program.AllocateIoasAsync();
        var domain = await program.TestAsync(12, ioas, 0, 0, 0, 0);
        var (stdev, device) = (domain.Argument(16), domain.Argument(24));
        var parent = (await program.ExpectAsync(
            WireFrames.Ioctl(program.NextTag(), program.Ticket, 0x3B89, new WireBytes().U32(48, 1, device, ioas, 0, 0, 0, 0).U64(0).U32(0, 0).ToArray()), "HWPT_ALLOC of a parent")).Argument(16);
        var viommu = (await program.ExpectAsync(
            WireFrames.Ioctl(program.NextTag(), program.Ticket, 0x3B90, new WireBytes().U32(40, 0, 0xDEADBEEF, device, parent, 0, 0, 0).U64(0).ToArray()), "VIOMMU_ALLOC")).Argument(20);
        await program.ExpectAsync(WireFrames.Ioctl(program.NextTag(), program.Ticket, 0x3B91, new WireBytes().U32(24, viommu, device, 0).U64(0x20).ToArray()), "VDEVICE_ALLOC");
        var nested = new WireBytes().U32(48, 0, device, viommu, 0, 0, 0xDEAD, 4).U64(0x9000).U32(0, 0).ToArray();
        var table = (await program.ExpectAsync(
            WireFrames.IoctlBody(program.Ticket, 0x3B89, nested, buffers: 1).U8(0, 0).U16(0).U32(4).U64(0x9000, 4, 4, 0, 0, 0).U32(0).Frame(0x10, program.NextTag()), "HWPT_ALLOC of a nested one")).Argument(16);
        await program.TestAsync(10, stdev, table);
        return (device, viommu);
    }
}
