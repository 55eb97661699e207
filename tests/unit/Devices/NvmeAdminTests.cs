using System.Buffers.Binary;
using IommuFd.Uapi;
using IommuFd.UnitTests.Devices.Support;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.Devices.Support.NvmeDriver;

namespace IommuFd.UnitTests.Devices;

/// <summary>The controller's registers and its admin commands, by a driver on a real context.</summary>
public sealed class NvmeAdminTests
{
    private const int Data = 16;
    private const int InvalidField = 0x002;

    [Fact]
    public async Task The_capabilities_are_what_drivers_need()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var capabilities = await world.Read32Async(VfioPciRegion.Bar0, 0) | ((ulong)await world.Read32Async(VfioPciRegion.Bar0, 4) << 32);
        Expect.Equal((1023UL, 1UL, 0UL, 1UL, 0UL, 0UL),
            (capabilities & 0xFFFF, (capabilities >> 16) & 1, (capabilities >> 32) & 0xF, (capabilities >> 37) & 1, (capabilities >> 48) & 0xF, (capabilities >> 52) & 0xF),
            "MQES, CQR, DSTRD, CSS, MPSMIN and MPSMAX");
        Expect.Equal(0x0001_0400U, await world.Read32Async(VfioPciRegion.Bar0, 8), "the version");
        Expect.Equal(0x0108_02U, await world.Read32Async(VfioPciRegion.Config, 8) >> 8, "the class code");
        await world.Write64Async(VfioPciRegion.Bar0, 0, 0);
        Expect.Equal((uint)capabilities, await world.Read32Async(VfioPciRegion.Bar0, 0), "the capabilities after a write");
    }

    [Fact]
    public async Task A_controller_that_is_enabled_wrongly_is_not_ready_but_fatal_until_it_is_disabled()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        (string What, uint Attributes, ulong Submissions, uint Configuration)[] all =
        [
            ("queues of one entry", 0, Iova(0), 1),
            ("a queue within a page", 0x0007_0007, Iova(0) + 8, 1),
            ("pages of 8 KiB", 0x0007_0007, Iova(0), 1 | (1 << 7)),
            ("another command set", 0x0007_0007, Iova(0), 1 | (1 << 4)),
        ];
        foreach (var (what, attributes, submissions, configuration) in all)
        {
            await world.Write32Async(VfioPciRegion.Bar0, 0x24, attributes);
            await world.Write64Async(VfioPciRegion.Bar0, 0x28, submissions);
            await world.Write64Async(VfioPciRegion.Bar0, 0x30, Iova(1));
            await world.Write32Async(VfioPciRegion.Bar0, 0x14, configuration);
            Expect.Equal(2U, await world.Read32Async(VfioPciRegion.Bar0, 0x1C), $"the status with {what}");
            await world.Write32Async(VfioPciRegion.Bar0, 0x14, 0);
            Expect.Equal(0U, await world.Read32Async(VfioPciRegion.Bar0, 0x1C), $"the status after {what}");
        }
    }

    [Fact]
    public async Task An_admin_queue_that_is_not_mapped_is_fatal()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        await world.Write32Async(VfioPciRegion.Bar0, 0x24, 0x0007_0007);
        await world.Write64Async(VfioPciRegion.Bar0, 0x28, Iova(0));
        await world.Write64Async(VfioPciRegion.Bar0, 0x30, Iova(1));
        await world.Write32Async(VfioPciRegion.Bar0, 0x14, 1);
        await world.Write32Async(VfioPciRegion.Bar0, 0x1000, 1);
        await TestSupport.Eventually.TrueAsync(async () => await world.Read32Async(VfioPciRegion.Bar0, 0x1C) == 3, "the controller is fatal");
        Expect.Equal(1UL, world.Function.Dma.Counts.Refused, "accesses that were refused");
    }

    [Fact]
    public async Task IDENTIFY_answers_controller_namespace_list_and_descriptors()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction(8192));
        var driver = await StartAsync(world);
        var controller = await IdentifyAsync(driver, 1, 0);
        Expect.Equal("iommufd emulated NVMe", System.Text.Encoding.ASCII.GetString(controller, 24, 40).TrimEnd(), "the model");
        Expect.Equal((7, 0x66, 0x44, 1U, 1), (controller[77], controller[512], controller[513], BinaryPrimitives.ReadUInt32LittleEndian(controller.AsSpan(516)), controller[525]), "MDTS, SQES, CQES, NN and VWC");
        var space = await IdentifyAsync(driver, 0, 1);
        Expect.Equal((8192UL, 8192UL, 9), (BinaryPrimitives.ReadUInt64LittleEndian(space), BinaryPrimitives.ReadUInt64LittleEndian(space.AsSpan(8)), space[130]), "size, capacity and block size");
        var list = await IdentifyAsync(driver, 2, 0);
        Expect.Equal((1U, 0U), (BinaryPrimitives.ReadUInt32LittleEndian(list), BinaryPrimitives.ReadUInt32LittleEndian(list.AsSpan(4))), "the active namespaces");
        Expect.Equal(0U, BinaryPrimitives.ReadUInt32LittleEndian(await IdentifyAsync(driver, 2, 1)), "the active namespaces behind the first");
        var descriptors = await IdentifyAsync(driver, 3, 1);
        Expect.Sequence([2, 16, 0, 0, 0x00, 0x11, 0x22, 0x33], descriptors[..8].Select(value => (int)value), "the first descriptor");
        Expect.Equal((3, 16), (descriptors[20], descriptors[21]), "the second descriptor");
    }

    [Fact]
    public async Task Admin_commands_that_are_wrong_are_answered_with_their_status()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        await driver.CreateQueueAsync(1, 8, 8);
        var free = Iova(Data);
        (string What, int Status, byte Opcode, uint Nsid, ulong Prp1, uint Dword10, uint Dword11)[] all =
        [
            ("an opcode that isn't there", 0x001, 0x7F, 0, 0, 0, 0),
            ("IDENTIFY of a structure that isn't there", InvalidField, 0x06, 0, free, 0x77, 0),
            ("IDENTIFY of a namespace that isn't there", 0x00B, 0x06, 2, free, 0, 0),
            ("IDENTIFY of no namespace", 0x00B, 0x06, 0, free, 0, 0),
            ("a queue 0", 0x101, 0x05, 0, free, 7 << 16, 3),
            ("a queue that is there", 0x101, 0x05, 0, free, 1 | (7 << 16), 3),
            ("a queue past the last", 0x101, 0x05, 0, free, 65 | (7 << 16), 3),
            ("a queue of one entry", 0x102, 0x05, 0, free, 2, 3),
            ("a queue that is too long", 0x102, 0x05, 0, free, 2 | (1024 << 16), 3),
            ("a queue in pieces", InvalidField, 0x05, 0, free, 2 | (7 << 16), 2),
            ("a queue within a page", 0x013, 0x05, 0, free + 8, 2 | (7 << 16), 3),
            ("an interrupt that isn't there", 0x108, 0x05, 0, free, 2 | (7 << 16), 3 | (65 << 16)),
            ("completions that aren't there", 0x100, 0x01, 0, free, 2 | (7 << 16), 1 | (2 << 16)),
            ("completions of the admin queue", 0x100, 0x01, 0, free, 2 | (7 << 16), 1),
            ("deleting no submission queue", 0x101, 0x00, 0, 0, 2, 0),
            ("deleting the admin queue", 0x101, 0x00, 0, 0, 0, 0),
            ("deleting completions in use", 0x10C, 0x04, 0, 0, 1, 0),
            ("deleting no completion queue", 0x101, 0x04, 0, 0, 2, 0),
            ("a log page that isn't there", 0x109, 0x02, 0, free, 0x77, 0),
            ("a feature that isn't there", InvalidField, 0x0A, 0, 0, 0x77, 0),
            ("setting a feature that isn't there", InvalidField, 0x09, 0, 0, 0x77, 0),
            ("saving a feature", 0x10D, 0x09, 0, 0, 0x8000_0006, 0),
            ("another power state", InvalidField, 0x09, 0, 0, 2, 1),
            ("the number of queues while there are some", 0x00C, 0x09, 0, 0, 7, 0x0001_0001),
        ];
        foreach (var (what, status, opcode, nsid, prp1, dword10, dword11) in all)
        {
            Expect.Equal(status, (await driver.RunAsync(driver.Admin, opcode, nsid, prp1, 0, dword10, dword11)).Status, $"the status of {what}");
        }

        Expect.Equal(InvalidField, (await driver.RunAsync(driver.Admin, 0x06, 0, free, dword10: 1, flags: 0x40)).Status, "the status of a command with an SGL");
        Expect.Equal(0x004, (await driver.RunAsync(driver.Admin, 0x06, 0, 0x4000, dword10: 1)).Status, "the status of IDENTIFY to what is not mapped");
    }

    [Fact]
    public async Task Features_are_set_read_and_back_to_their_defaults_after_a_reset()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        Expect.Equal(0x003F_003FU, await driver.RunOkAsync(driver.Admin, 0x09, dword10: 7, dword11: 0xFF00_00FF), "the number of queues that were granted");
        Expect.Equal(1U, await driver.RunOkAsync(driver.Admin, 0x0A, dword10: 6), "the volatile write cache");
        await driver.RunOkAsync(driver.Admin, 0x09, dword10: 6, dword11: 0);
        await driver.RunOkAsync(driver.Admin, 0x09, dword10: 9, dword11: 5 | (1 << 16));
        Expect.Equal(0U, await driver.RunOkAsync(driver.Admin, 0x0A, dword10: 6), "the write cache after it was set");
        Expect.Equal(1U, await driver.RunOkAsync(driver.Admin, 0x0A, dword10: 6 | (1 << 8)), "its default");
        Expect.Equal(4U, await driver.RunOkAsync(driver.Admin, 0x0A, dword10: 6 | (3 << 8)), "what can be done with it");
        Expect.Equal(0x0001_0005U, await driver.RunOkAsync(driver.Admin, 0x0A, dword10: 9, dword11: 5), "vector 5");
        Expect.Equal(4U, await driver.RunOkAsync(driver.Admin, 0x0A, dword10: 9, dword11: 4), "vector 4");
        await driver.DisableAsync();
        await driver.EnableAsync();
        Expect.Equal(1U, await driver.RunOkAsync(driver.Admin, 0x0A, dword10: 6), "the write cache after a reset");
    }

    [Fact]
    public async Task An_event_is_told_once_until_its_log_page_is_read_and_more_than_four_requests_are_refused()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        var requests = Enumerable.Range(0, 4).Select(_ => driver.Put(driver.Admin, 0x0C)).ToArray();
        await driver.RingAsync(driver.Admin);
        Expect.Equal(0x105, (await driver.RunAsync(driver.Admin, 0x0C)).Status, "the status of the fifth request");
        await driver.RunOkAsync(driver.Admin, 0x09, dword10: 0x0B, dword11: 2);
        await driver.RunOkAsync(driver.Admin, 0x09, dword10: 4, dword11: 290);
        var told = await driver.WaitAsync(driver.Admin, requests[0]);
        Expect.Equal((0, 0x0002_0101U), (told.Status, told.Value), "status and event");
        await driver.RunOkAsync(driver.Admin, 0x09, dword10: 4, dword11: 343);
        await driver.RunOkAsync(driver.Admin, 0x09, dword10: 4, dword11: 290);
        Expect.That(!driver.Look(driver.Admin), "A masked event was told.");
        await driver.RunOkAsync(driver.Admin, 0x02, prp1: Iova(Data), dword10: 2 | (127 << 16));
        Expect.Equal((2, 300), (driver.Memory.Span[Data * (int)Page], BinaryPrimitives.ReadUInt16LittleEndian(driver.Memory.Span[((Data * (int)Page) + 1)..])), "the critical warning and the temperature of the health log");
        Expect.Equal(0x0002_0101U, (await driver.WaitAsync(driver.Admin, requests[1])).Value, "the event after its log page was read");

        await driver.DoorbellAsync(2, 1);
        Expect.Equal(0x0001_0000U, (await driver.WaitAsync(driver.Admin, requests[2])).Value, "the event of a doorbell of no queue");
        Expect.Equal(0U, await driver.RunOkAsync(driver.Admin, 0x08, dword10: (uint)requests[3] << 16), "whether the abort of a request was not done");
        Expect.Equal(0x007, (await driver.WaitAsync(driver.Admin, requests[3])).Status, "the status of the request that was aborted");
        Expect.Equal(1U, await driver.RunOkAsync(driver.Admin, 0x08, dword10: 0x77 << 16), "whether the abort of nothing was not done");
    }

    [Fact]
    public async Task Commands_that_have_failed_are_in_the_error_log()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        var driver = await StartAsync(world);
        var failed = await driver.RunAsync(driver.Admin, 0x7F);
        await driver.RunOkAsync(driver.Admin, 0x02, prp1: Iova(Data), dword10: 1 | (63 << 16));
        var entry = driver.Memory.Span.Slice(Data * (int)Page, 64);
        Expect.Equal((1UL, failed.Id, 2), (BinaryPrimitives.ReadUInt64LittleEndian(entry), BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]), BinaryPrimitives.ReadUInt16LittleEndian(entry[12..])), "count, command and status field");
    }

    [Fact]
    public async Task A_shutdown_is_complete_when_the_namespace_is_flushed()
    {
        await using var world = await DeviceWorld.AttachedAsync(NewFunction());
        await StartAsync(world);
        await world.Write32Async(VfioPciRegion.Bar0, 0x14, 0x0046_4001);
        await TestSupport.Eventually.TrueAsync(async () => await world.Read32Async(VfioPciRegion.Bar0, 0x1C) == 9, "the shutdown is complete");
        await world.Write32Async(VfioPciRegion.Bar0, 0x14, 0);
        Expect.Equal(0U, await world.Read32Async(VfioPciRegion.Bar0, 0x1C), "the status after the controller was disabled");
    }

    private static async Task<byte[]> IdentifyAsync(NvmeDriver driver, uint structure, uint nsid)
    {
        driver.Memory.Span.Slice(Data * (int)Page, (int)Page).Fill(0xEE);
        await driver.RunOkAsync(driver.Admin, 0x06, nsid, Iova(Data), dword10: structure);
        return driver.Memory.Span.Slice(Data * (int)Page, (int)Page).ToArray();
    }
}
