using System.Buffers.Binary;
using IommuFd.Devices.Nvme;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Devices.Support;

/// <summary>A completion.</summary>
internal readonly record struct NvmeReply(ushort Id, int Status, uint Value, int SubmissionHead);

/// <summary>A pair of queues as the host has it.</summary>
internal sealed class NvmeHostQueue(int id, int size, ulong submissions, ulong completions, TestInterrupt interrupt)
{
    public int Id => id;

    public int Size => size;

    public ulong Submissions => submissions;

    public ulong Completions => completions;

    public TestInterrupt Interrupt => interrupt;

    public int Tail { get; set; }

    public int Head { get; set; }

    public bool Phase { get; set; } = true;

    public ushort NextId { get; set; }

    public Dictionary<ushort, NvmeReply> Seen { get; } = [];
}

/// <summary>A driver of an NVMe controller, as small as one can be. Its memory is mapped at <see cref="DeviceWorld.Base"/>.</summary>
internal sealed class NvmeDriver
{
    public const int Pages = 1024;
    public const ulong Page = DeviceWorld.Page;
    public const int AdminSize = 8;
    private const VfioPciRegion Bar = VfioPciRegion.Bar0;

    private NvmeDriver(DeviceWorld world, Memory<byte> memory, TestInterrupt[] interrupts) => (World, Memory, Interrupts) = (world, memory, interrupts);

    public DeviceWorld World { get; }

    public Memory<byte> Memory { get; }

    public TestInterrupt[] Interrupts { get; }

    public NvmeHostQueue Admin { get; private set; } = null!;

    /// <summary>Where doorbells are stored by a mapping; null where they are written to the file.</summary>
    public Memory<byte>? Mapped { get; set; }

    /// <summary>The IOVA of a page of the driver's memory.</summary>
    public static ulong Iova(int page) => DeviceWorld.Base + ((ulong)page * Page);

    /// <summary>Maps the driver's memory and enables the controller.</summary>
    public static async Task<NvmeDriver> StartAsync(DeviceWorld world)
    {
        var driver = new NvmeDriver(world, await world.MapAsync(DeviceWorld.Base, Pages), await world.SetInterruptsAsync(VfioPciIrq.Msix, 8));
        await driver.EnableAsync();
        return driver;
    }

    public async Task EnableAsync()
    {
        Memory.Span[..(int)(2 * Page)].Clear();
        Admin = new NvmeHostQueue(0, AdminSize, Iova(0), Iova(1), Interrupts[0]);
        await World.Write32Async(Bar, 0x24, (AdminSize - 1) | ((AdminSize - 1) << 16));
        await World.Write64Async(Bar, 0x28, Admin.Submissions);
        await World.Write64Async(Bar, 0x30, Admin.Completions);
        await World.Write32Async(Bar, 0x14, 0x0046_0001);
        Expect.Equal(1U, await World.Read32Async(Bar, 0x1C), "the status of an enabled controller");
    }

    public async Task DisableAsync()
    {
        await World.Write32Async(Bar, 0x14, 0x0046_0000);
        Expect.Equal(0U, await World.Read32Async(Bar, 0x1C), "the status of a disabled controller");
    }

    /// <summary>Makes a pair of I/O queues, in two pages of the driver's memory.</summary>
    public async Task<NvmeHostQueue> CreateQueueAsync(int id, int size, int page, int vector = 1)
    {
        Memory.Span.Slice(page * (int)Page, (int)(2 * Page)).Clear();
        var queue = new NvmeHostQueue(id, size, Iova(page), Iova(page + 1), Interrupts[vector]);
        var dimensions = (uint)id | ((uint)(size - 1) << 16);
        await RunOkAsync(Admin, 0x05, prp1: queue.Completions, dword10: dimensions, dword11: 3 | ((uint)vector << 16));
        await RunOkAsync(Admin, 0x01, prp1: queue.Submissions, dword10: dimensions, dword11: 1 | ((uint)id << 16));
        return queue;
    }

    /// <summary>Puts a command into a queue, without telling the controller.</summary>
    public ushort Put(NvmeHostQueue queue, byte opcode, uint nsid = 0, ulong prp1 = 0, ulong prp2 = 0, uint dword10 = 0, uint dword11 = 0, uint dword12 = 0, byte flags = 0, ushort? id = null)
    {
        var command = id ?? queue.NextId++;
        var entry = Memory.Span.Slice((int)(queue.Submissions - DeviceWorld.Base) + (queue.Tail * 64), 64);
        entry.Clear();
        (entry[0], entry[1]) = (opcode, flags);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[2..], command);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], nsid);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[24..], prp1);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[32..], prp2);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[40..], dword10);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[44..], dword11);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[48..], dword12);
        queue.Tail = (queue.Tail + 1) % queue.Size;
        return command;
    }

    /// <summary>Tells the controller of what was put into a queue.</summary>
    public Task RingAsync(NvmeHostQueue queue) => DoorbellAsync(2 * queue.Id, (uint)queue.Tail);

    public async Task DoorbellAsync(int number, uint value)
    {
        var offset = 0x1000 + (number * 4);
        if (Mapped is { } mapped)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(mapped.Span[offset..], value);
        }
        else
        {
            await World.Write32Async(Bar, offset, value);
        }
    }

    /// <summary>Waits for the completion of a command.</summary>
    public async Task<NvmeReply> WaitAsync(NvmeHostQueue queue, ushort command)
    {
        NvmeReply reply;
        while (!queue.Seen.Remove(command, out reply))
        {
            if (!Look(queue))
            {
                await queue.Interrupt.WaitAsync($"command {command} of queue {queue.Id}");
            }
            else
            {
                await DoorbellAsync((2 * queue.Id) + 1, (uint)queue.Head);
            }
        }

        return reply;
    }

    /// <summary>Takes the completions that are there; false for none.</summary>
    public bool Look(NvmeHostQueue queue)
    {
        var found = false;
        while (true)
        {
            var entry = Memory.Span.Slice((int)(queue.Completions - DeviceWorld.Base) + (queue.Head * 16), 16);
            var last = BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]);
            if ((last & (1 << 16)) != 0 != queue.Phase)
            {
                return found;
            }

            var middle = BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]);
            Expect.Equal(queue.Id, (int)(middle >> 16), "the queue of a completion");
            var reply = new NvmeReply((ushort)last, (int)((last >> 17) & 0x7FF), BinaryPrimitives.ReadUInt32LittleEndian(entry), (int)(middle & 0xFFFF));
            Expect.That(queue.Seen.TryAdd(reply.Id, reply), $"Command {reply.Id} has two completions.");
            queue.Head++;
            if (queue.Head == queue.Size)
            {
                (queue.Head, queue.Phase) = (0, !queue.Phase);
            }

            found = true;
        }
    }

    public async Task<NvmeReply> RunAsync(
        NvmeHostQueue queue, byte opcode, uint nsid = 0, ulong prp1 = 0, ulong prp2 = 0, uint dword10 = 0, uint dword11 = 0, uint dword12 = 0, byte flags = 0)
    {
        var command = Put(queue, opcode, nsid, prp1, prp2, dword10, dword11, dword12, flags);
        await RingAsync(queue);
        return await WaitAsync(queue, command);
    }

    public async Task<uint> RunOkAsync(
        NvmeHostQueue queue, byte opcode, uint nsid = 0, ulong prp1 = 0, ulong prp2 = 0, uint dword10 = 0, uint dword11 = 0, uint dword12 = 0)
    {
        var reply = await RunAsync(queue, opcode, nsid, prp1, prp2, dword10, dword11, dword12);
        Expect.Equal(0, reply.Status, $"the status of opcode 0x{opcode:X2}");
        return reply.Value;
    }

    public static NvmeFunction NewFunction(ulong blocks = 8192) => new(new MemoryNamespace(blocks), new Guid("00112233-4455-6677-8899-aabbccddeeff"));
}
