using System.Buffers.Binary;
using IommuFd.Client;
using IommuFd.Devices.Nvme;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Devices.Support;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;
using static IommuFd.UnitTests.Devices.Support.NvmeDriver;

namespace IommuFd.UnitTests.Devices;

/// <summary>Reads and writes of a namespace, by a driver on a real context.</summary>
public sealed class NvmeIoTests(ITestOutputHelper output)
{
    private const int Data = 64;
    private const int List = 32;

    [Theory]
    [InlineData(1, 0)]
    [InlineData(8, 0)]
    [InlineData(9, 0)]
    [InlineData(16, 0)]
    [InlineData(8, 512)]
    [InlineData(16, 1024)]
    [InlineData(64, 8)]
    [InlineData(1024, 0)]
    public async Task What_is_written_is_read_by_any_form_of_pages(int blocks, int offset)
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 8, 8);
        var (from, to) = (Buffer(driver, Data, offset, blocks), Buffer(driver, Data + 300, offset, blocks));
        new Random(blocks).NextBytes(from.Span);
        await RunOkAsync(driver, queue, 1, 77, blocks, Data, offset);
        await RunOkAsync(driver, queue, 2, 77, blocks, Data + 300, offset);
        Expect.That(from.Span.SequenceEqual(to.Span), $"{blocks} blocks at offset {offset} of a page were read as something else.");
    }

    [Fact]
    public async Task A_list_of_pages_goes_on_in_another_list_where_it_does_not_fit_its_page()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 8, 8);

        // A list that begins 3 entries before the end of its page: 2 pages, then where the list goes on.
        var memory = driver.Memory;
        void Entry(int page, int index, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(memory.Span[((page * (int)Page) + (index * 8))..], value);
        (int Page, int Index)[] entries = [(List, 509), (List, 510), (List + 1, 0), (List + 1, 1)];
        foreach (var ((page, index), number) in entries.Select((entry, number) => (entry, number)))
        {
            Entry(page, index, Iova(Data + 1 + (2 * number)));
        }

        Entry(List, 511, Iova(List + 1));
        for (var page = 0; page < 10; page++)
        {
            memory.Span.Slice((Data + page) * (int)Page, (int)Page).Fill((byte)(page + 1));
        }

        await driver.RunOkAsync(queue, 1, 1, Iova(Data), Iova(List) + (509 * 8), dword10: 0, dword12: 39);
        await RunOkAsync(driver, queue, 2, 0, 40, Data + 300, 0);
        Expect.Sequence([1, 2, 4, 6, 8], Enumerable.Range(0, 5).Select(page => (int)memory.Span[(Data + 300 + page) * (int)Page]), "the first byte of each page that was written");
    }

    [Fact]
    public async Task Commands_that_are_wrong_are_answered_with_their_status_and_change_nothing()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction(8192));
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 8, 8);
        (string What, int Status, byte Opcode, uint Nsid, ulong Prp1, ulong Prp2, uint Block, uint Count)[] all =
        [
            ("an opcode that isn't there", 0x001, 0x77, 1, Iova(Data), 0, 0, 1),
            ("a namespace that isn't there", 0x00B, 2, 2, Iova(Data), 0, 0, 1),
            ("a read of every namespace", 0x00B, 2, uint.MaxValue, Iova(Data), 0, 0, 1),
            ("a block past the last", 0x080, 2, 1, Iova(Data), 0, 8192, 1),
            ("blocks that end past the last", 0x080, 1, 1, Iova(Data), 0, 8191, 2),
            ("zeros past the last", 0x080, 8, 1, 0, 0, 8191, 2),
            ("more than can be transferred at once", 0x002, 2, 1, Iova(Data), 0, 0, 1025),
            ("a second page that begins within one", 0x013, 2, 1, Iova(Data), Iova(Data + 1) + 512, 0, 16),
            ("a list at an odd place", 0x013, 2, 1, Iova(Data), Iova(List) + 4, 0, 64),
            ("a list that is not mapped", 0x004, 2, 1, Iova(Data), 0x4000, 0, 64),
            ("a read to what is not mapped", 0x004, 2, 1, 0x4000, 0, 0, 1),
            ("a write from what is not mapped", 0x004, 1, 1, 0x4000, 0, 0, 1),
        ];
        foreach (var (what, status, opcode, nsid, prp1, prp2, block, count) in all)
        {
            Expect.Equal(status, (await driver.RunAsync(queue, opcode, nsid, prp1, prp2, block, 0, count - 1)).Status, $"the status of {what}");
        }

        Expect.Equal(0, (await driver.RunAsync(queue, 0, uint.MaxValue)).Status, "the status of a flush of every namespace");
        Expect.Equal(3UL, world.Function.Dma.Counts.Refused, "accesses that were refused");
        await RunOkAsync(driver, queue, 2, 0, 8, Data, 0);
        Expect.That(driver.Memory.Span.Slice(Data * (int)Page, (int)Page).IndexOfAnyExcept((byte)0) < 0, "A command that has failed has written blocks.");
    }

    [Fact]
    public async Task A_mapping_for_reading_can_be_written_to_disk_and_not_read_into()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 8, 8);
        const ulong ReadOnly = 0x1000_0000;
        var memory = await world.MapAsync(ReadOnly, 1, DmaAccess.Read);
        memory.Span.Fill(7);
        await driver.RunOkAsync(queue, 1, 1, ReadOnly, dword12: 7);
        memory.Span.Fill(9);
        Expect.Equal(4, (await driver.RunAsync(queue, 2, 1, ReadOnly, dword12: 7)).Status, "the status of a read into it");
        Expect.Equal(-1, memory.Span.IndexOfAnyExcept((byte)9), "the first byte of it that was written");
        await RunOkAsync(driver, queue, 2, 0, 8, Data, 0);
        Expect.Equal(7, driver.Memory.Span[Data * (int)Page], "what is on the disk");
    }

    [Fact]
    public async Task Zeros_and_deallocated_blocks_read_as_zeros()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 8, 8);
        Buffer(driver, Data, 0, 1024).Span.Fill(5);
        await RunOkAsync(driver, queue, 1, 0, 1024, Data, 0);
        await driver.RunOkAsync(queue, 8, 1, dword10: 10, dword12: 4);
        var range = driver.Memory.Span.Slice(List * (int)Page, 32);
        range.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(range[4..], 300);
        BinaryPrimitives.WriteUInt64LittleEndian(range[8..], 100);
        BinaryPrimitives.WriteUInt32LittleEndian(range[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(range[24..], 1000);
        await driver.RunOkAsync(queue, 9, 1, Iova(List), dword10: 1, dword11: 4);
        await RunOkAsync(driver, queue, 2, 0, 1024, Data, 0);
        var zeros = Enumerable.Range(0, 1024).Where(block => driver.Memory.Span.Slice((Data * (int)Page) + (block * 512), 512).IndexOfAnyExcept((byte)0) < 0);
        Expect.Sequence(Enumerable.Range(10, 5).Concat(Enumerable.Range(100, 300)).Append(1000), zeros, "the blocks that are zero");
    }

    [Fact]
    public async Task Queues_wrap_and_completions_that_have_no_room_wait()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 4, 8);
        for (var round = 0; round < 9; round++)
        {
            ushort[] commands = [driver.Put(queue, 0, 1), driver.Put(queue, 0, 1), driver.Put(queue, 0, 1)];
            await driver.RingAsync(queue);
            foreach (var command in commands)
            {
                Expect.Equal(0, (await driver.WaitAsync(queue, command)).Status, $"the status of command {command}");
            }
        }

        // Six commands whose completions the host does not take: three have room.
        ushort[] first = [driver.Put(queue, 0, 1), driver.Put(queue, 0, 1), driver.Put(queue, 0, 1)];
        await driver.RingAsync(queue);
        await Eventually.TrueAsync(async () => await world.Function.Loop.RunAsync(() => world.Function.Dma.Counts.BytesWritten) > 0 && EntriesAt(driver, queue) == 3, "three completions are there");
        ushort[] second = [driver.Put(queue, 0, 1), driver.Put(queue, 0, 1), driver.Put(queue, 0, 1)];
        await driver.RingAsync(queue);
        foreach (var command in first.Concat(second))
        {
            Expect.Equal(0, (await driver.WaitAsync(queue, command)).Status, $"the status of command {command}");
        }
    }

    [Fact]
    public async Task Stores_to_mapped_doorbells_drive_it_too()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        var mapping = world.File.Map(DeviceWorld.At(VfioPciRegion.Bar0, 0), 0x2000, isShared: true);
        Expect.Equal(Errno.None, mapping.Errno, "mapping BAR 0");
        driver.Mapped = mapping.Memory!.Bytes;
        var queue = await driver.CreateQueueAsync(1, 16, 8);
        Buffer(driver, Data, 0, 8).Span.Fill(3);
        await RunOkAsync(driver, queue, 1, 5, 8, Data, 0);
        await RunOkAsync(driver, queue, 2, 5, 8, Data + 10, 0);
        Expect.Equal(3, driver.Memory.Span[(Data + 10) * (int)Page], "what was read");

        // A driver in user space enables the controller by the mapping as well.
        BinaryPrimitives.WriteUInt32LittleEndian(driver.Mapped.Value.Span[0x14..], 0);
        await Eventually.TrueAsync(() => Task.FromResult(BinaryPrimitives.ReadUInt32LittleEndian(mapping.Memory.Bytes.Span[0x1C..]) == 0), "the controller is not ready any more");
    }

    [Fact]
    public async Task A_reset_in_the_middle_of_a_queue_gives_up_what_is_running_and_leaves_memory_alone()
    {
        await using var world = await DeviceWorld.NewAsync(NewFunction());
        await world.BindAsync();
        await world.WriteAsync(VfioPciRegion.Config, 4, new byte[] { 6, 0 });
        await using var faults = await world.Context.AllocateFaultQueueAsync();
        await world.AttachAsync(await world.Context.AllocateHwptAsync(world.Device.BoundId, world.Ioas, faultQueue: faults.Id));
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 8, 8);

        // Reads into memory that is not there wait for the page fault's response.
        const ulong Missing = 0x4000_0000;
        driver.Put(queue, 2, 1, Missing);
        driver.Put(queue, 2, 1, Missing + Page);
        await driver.RingAsync(queue);
        await NextFaultAsync(faults);
        await NextFaultAsync(faults);
        var completions = driver.Memory.Slice(9 * (int)Page, (int)Page).ToArray();

        await driver.DisableAsync();
        var memory = await world.MapAsync(Missing, 2);
        await driver.EnableAsync();
        queue = await driver.CreateQueueAsync(1, 8, 8);
        await RunOkAsync(driver, queue, 2, 0, 8, Data, 0);

        Expect.That(completions.AsSpan().IndexOfAnyExcept((byte)0) < 0, "A command that was running has completed.");
        Expect.That(memory.Span.IndexOfAnyExcept((byte)0) < 0, "A command that was given up has written.");
    }

    [Fact]
    public async Task A_page_fault_that_is_answered_with_success_lets_the_command_go_on_and_an_invalid_one_fails_it()
    {
        await using var world = await DeviceWorld.NewAsync(NewFunction());
        await world.BindAsync();
        await world.WriteAsync(VfioPciRegion.Config, 4, new byte[] { 6, 0 });
        await using var faults = await world.Context.AllocateFaultQueueAsync();
        await world.AttachAsync(await world.Context.AllocateHwptAsync(world.Device.BoundId, world.Ioas, faultQueue: faults.Id));
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 8, 8);
        Buffer(driver, Data, 0, 8).Span.Fill(4);
        await RunOkAsync(driver, queue, 1, 0, 8, Data, 0);
        const ulong Missing = 0x4000_0000;
        foreach (var (code, status) in new[] { (IommuPageResponseCode.Invalid, 4), (IommuPageResponseCode.Success, 0) })
        {
            var command = driver.Put(queue, 2, 1, Missing, dword12: 7);
            await driver.RingAsync(queue);
            var fault = await NextFaultAsync(faults);
            Expect.Equal((Missing, (uint)IommuPgfaultPerm.Write, world.Device.BoundId.Value), (fault.Addr, fault.Perm, fault.DevId), "address, access and device of the page fault");
            var memory = code == IommuPageResponseCode.Success ? await world.MapAsync(Missing, 1) : default;
            await faults.File.WriteAsync(UapiStruct.ToBytes(new IommuHwptPageResponse { Cookie = fault.Cookie, Code = (uint)code }));
            Expect.Equal(status, (await driver.WaitAsync(queue, command)).Status, $"the status after the response {code}");
            Expect.Equal(code == IommuPageResponseCode.Success ? 4 : 0, memory.IsEmpty ? 0 : memory.Span[0], $"what was read after the response {code}");
        }
    }

    [Fact]
    public async Task Deleting_a_queue_gives_up_its_commands()
    {
        await using var world = await DeviceWorld.NewAsync(NewFunction());
        await world.BindAsync();
        await world.WriteAsync(VfioPciRegion.Config, 4, new byte[] { 6, 0 });
        await using var faults = await world.Context.AllocateFaultQueueAsync();
        await world.AttachAsync(await world.Context.AllocateHwptAsync(world.Device.BoundId, world.Ioas, faultQueue: faults.Id));
        var driver = await StartAsync(world);
        var queue = await driver.CreateQueueAsync(1, 8, 8);
        var (first, second) = (driver.Put(queue, 2, 1, 0x4000_0000), driver.Put(queue, 2, 1, 0x4000_1000));
        await driver.RingAsync(queue);
        await NextFaultAsync(faults);
        await NextFaultAsync(faults);
        await driver.RunOkAsync(driver.Admin, 0x08, dword10: 1 | ((uint)first << 16));
        Expect.Equal(0x007, (await driver.WaitAsync(queue, first)).Status, "the status of the command that was aborted");
        await driver.RunOkAsync(driver.Admin, 0x00, dword10: 1);
        Expect.Equal(0x008, (await driver.WaitAsync(queue, second)).Status, "the status of the command whose queue was deleted");
        await driver.RunOkAsync(driver.Admin, 0x04, dword10: 1);
    }

    [Fact]
    public async Task Any_reads_and_writes_by_several_queues_are_those_of_a_disk()
    {
        const int Blocks = 512, Most = 40;
        var seed = Seed.Of(output);
        var random = new Random(seed);
        await using var world = await DeviceWorld.AttachedAsync(NewFunction(Blocks));
        var driver = await StartAsync(world);
        var queues = new List<NvmeHostQueue>();
        for (var id = 1; id <= 3; id++)
        {
            queues.Add(await driver.CreateQueueAsync(id, 16, 8 + (2 * id), id));
        }

        var expected = new byte[Blocks * 512];
        for (var round = 0; round < 150; round++)
        {
            var (start, offset, queue) = (random.Next(Blocks), random.Next(8) * 512, queues[random.Next(queues.Count)]);
            var count = random.Next(1, Math.Min(Most, Blocks - start) + 1);
            var buffer = Buffer(driver, Data, offset, count);
            if (random.Next(2) == 0)
            {
                random.NextBytes(buffer.Span);
                buffer.Span.CopyTo(expected.AsSpan(start * 512));
                await RunOkAsync(driver, queue, 1, start, count, Data, offset);
            }
            else
            {
                await RunOkAsync(driver, queue, 2, start, count, Data, offset);
                Expect.That(buffer.Span.SequenceEqual(expected.AsSpan(start * 512, count * 512)), $"seed {seed}, round {round}: {count} blocks from {start} by queue {queue.Id}");
            }
        }
    }

    [Fact]
    public async Task The_pin_is_asserted_until_completions_are_taken_and_not_while_it_is_masked()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        await world.IoctlAsync(VfioDeviceCommand.SetIrqs, new VfioIrqSet { Argsz = 20, Flags = (uint)(VfioIrqSetFlags.DataNone | VfioIrqSetFlags.ActionTrigger), Index = 2 });
        var pin = (await world.SetInterruptsAsync(VfioPciIrq.Intx, 1))[0];
        await world.Write32Async(VfioPciRegion.Bar0, 0x0C, 1);
        driver.Put(driver.Admin, 0x0A, dword10: 6);
        await driver.RingAsync(driver.Admin);
        await Eventually.TrueAsync(() => Task.FromResult(EntriesAt(driver, driver.Admin) == 1), "the completion is there");
        Expect.Equal(0, pin.Count, "signals while the interrupt is masked");
        await world.Write32Async(VfioPciRegion.Bar0, 0x10, 1);
        await pin.WaitAsync("the one that was masked");
        Expect.That(driver.Look(driver.Admin), "There is no completion.");
        await driver.DoorbellAsync(1, (uint)driver.Admin.Head);
        Expect.Equal(0, (await world.ReadAsync(VfioPciRegion.Config, 6, 1))[0] & 8, "the pin's bit in the status register after the completion was taken");
    }

    [Fact]
    public async Task A_file_keeps_what_was_written()
    {
        var path = Path.Combine(Path.GetTempPath(), $"iommufd-nvme-{Guid.NewGuid():N}");
        try
        {
            for (var opened = 0; opened < 2; opened++)
            {
                await using var world = await DeviceWorld.AttachedAsync(new NvmeFunction(new FileNamespace(path, 128)));
                var driver = await StartAsync(world);
                var queue = await driver.CreateQueueAsync(1, 8, 8);
                if (opened == 0)
                {
                    Buffer(driver, Data, 0, 16).Span.Fill(6);
                    await RunOkAsync(driver, queue, 1, 100, 16, Data, 0);
                    await driver.RunOkAsync(queue, 8, 1, dword10: 104, dword12: 3);
                    await driver.RunOkAsync(queue, 0, 1);
                }
                else
                {
                    await RunOkAsync(driver, queue, 2, 100, 16, Data, 0);
                    Expect.Sequence([6, 6, 6, 6, 0, 0, 0, 0, 6], Enumerable.Range(0, 9).Select(block => (int)driver.Memory.Span[(Data * (int)Page) + (block * 512)]), "the first bytes of the blocks");
                }
            }

            Assert.Throws<IOException>(() => new FileNamespace(path + "-odd"));
        }
        finally
        {
            File.Delete(path);
            File.Delete(path + "-odd");
        }
    }

    private static Memory<byte> Buffer(NvmeDriver driver, int page, int offset, int blocks) => driver.Memory.Slice((page * (int)Page) + offset, blocks * 512);

    // A transfer from or to consecutive pages, by a list where there are more than two.
    private static async Task RunOkAsync(NvmeDriver driver, NvmeHostQueue queue, byte opcode, int block, int blocks, int page, int offset)
    {
        var rest = (blocks * 512) - ((int)Page - offset);
        var pages = rest <= 0 ? 0 : (rest + (int)Page - 1) / (int)Page;
        for (var i = 0; i < pages && pages > 1; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(driver.Memory.Span[((List * (int)Page) + (i * 8))..], Iova(page + 1 + i));
        }

        await driver.RunOkAsync(queue, opcode, 1, Iova(page) + (ulong)offset, pages == 0 ? 0 : pages == 1 ? Iova(page + 1) : Iova(List), (uint)block, 0, (uint)(blocks - 1));
    }

    // The completions that the host has not taken.
    private static int EntriesAt(NvmeDriver driver, NvmeHostQueue queue)
    {
        var (count, head, phase) = (0, queue.Head, queue.Phase);
        while (count < queue.Size && ((BinaryPrimitives.ReadUInt32LittleEndian(driver.Memory.Span[((int)(queue.Completions - DeviceWorld.Base) + (head * 16) + 12)..]) >> 16) & 1) == (phase ? 1U : 0))
        {
            count++;
            head++;
            if (head == queue.Size)
            {
                (head, phase) = (0, !phase);
            }
        }

        return count;
    }

    private static async Task<IommuHwptPgfault> NextFaultAsync(IommuFaultQueue faults)
    {
        var bytes = new byte[40];
        await Eventually.TrueAsync(async () => (await faults.File.ReadAsync(bytes)).Count == bytes.Length, "a page fault is reported");
        return UapiStruct.Read<IommuHwptPgfault>(bytes);
    }
}
