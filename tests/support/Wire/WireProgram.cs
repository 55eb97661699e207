using System.Buffers.Binary;
using Xunit;

namespace IommuFd.TestSupport;

/// <summary>A file descriptor of a program's: a connection, and the ticket that names it.</summary>
internal sealed record WireDescriptor(WireConnection Connection, byte[] Ticket, byte Kind, byte[] Resumption) : IDisposable
{
    /// <summary>Bytes of a resumption, and where an answer has them.</summary>
    private const int ResumptionBytes = 64, ResumptionAt = 32;

    /// <summary>Whether it can be resumed.</summary>
    public bool OutlivesItsGateway => Resumption.Any(value => value != 0);

    /// <summary>Opens a context.</summary>
    public static async Task<WireDescriptor> OpenAsync(string path, byte mode = 0) => await ConnectAsync(path, WireFrames.Open(mode));

    /// <summary>Sends HELLO together with OPEN or CLAIM, as programs do.</summary>
    public static async Task<WireDescriptor> ConnectAsync(string path, byte[] first)
    {
        var connection = await WireConnection.ConnectAsync(path + "-fd");
        await connection.SendAsync(WireFrames.Hello(WireFrames.Descriptor), first);
        var welcome = await connection.AnswerAsync();
        Assert.True(welcome.Kind == 0x81 && welcome.Number(12) == 0, $"a descriptor's WELCOME has no table, it was {welcome}");
        var answer = await connection.AnswerAsync();
        Assert.True(answer.Kind == first[4] + 0x80 && answer.Number(0) == 0, $"the descriptor opens, the answer was {answer}");
        return new WireDescriptor(connection, answer.Name(8), answer.Body[24], answer.Body[ResumptionAt..(ResumptionAt + ResumptionBytes)]);
    }

    /// <summary>What a descriptor that is not opened is answered.</summary>
    public static async Task<uint> RefusedAsync(string path, byte[] first)
    {
        using var connection = await WireConnection.ConnectAsync(path + "-fd");
        await connection.SendAsync(WireFrames.Hello(WireFrames.Descriptor), first);
        await connection.AnswerAsync();
        return (await connection.AnswerAsync()).Number(0);
    }

    public void Dispose() => Connection.Dispose();
}

/// <summary>An open context with a connection for calls on it.</summary>
internal sealed class WireProgram(string path, WireConnection calls, WireDescriptor context) : IDisposable
{
    private uint _tag = 100;

    public WireConnection Calls => calls;

    public WireDescriptor Context => context;

    public byte[] Ticket => context.Ticket;

    public uint NextTag() => ++_tag;

    public static async Task<WireProgram> OpenAsync(string path, byte mode = 0)
    {
        var calls = await WireConnection.CallsAsync(path);
        return new WireProgram(path, calls, await WireDescriptor.OpenAsync(path, mode));
    }

    /// <summary>Goes on with a context whose gateway has ended.</summary>
    public static async Task<WireProgram> ResumeAsync(string path, WireDescriptor dead)
    {
        var calls = await WireConnection.CallsAsync(path);
        return new WireProgram(path, calls, await WireDescriptor.ConnectAsync(path, WireFrames.Resume(dead.Resumption)));
    }

    /// <summary>Sends a request that must succeed.</summary>
    public async Task<WireAnswer> ExpectAsync(byte[] request, string what)
    {
        var answer = await CallAsync(request);
        Assert.True(answer.Errno == 0, $"{what} succeeds, it answered errno {answer.Errno}");
        return answer;
    }

    public async Task<WireAnswer> CallAsync(byte[] request) => WireAnswer.Read(await calls.CallAsync(request));

    public async Task<uint> AllocateIoasAsync() => (await ExpectAsync(WireFrames.IoasAlloc(NextTag(), Ticket), "IOAS_ALLOC")).Argument(8);

    /// <summary>Whether an object was there to be destroyed.</summary>
    public async Task<uint> DestroyAsync(uint id) => (await CallAsync(WireFrames.Destroy(NextTag(), Ticket, id))).Errno;

    /// <summary>Allocates a fault queue.</summary>
    public async Task<(uint Id, WireAnswer Answer)> AllocateFaultQueueAsync()
    {
        var answer = await ExpectAsync(WireFrames.Ioctl(NextTag(), Ticket, 0x3B8E, new WireBytes().U32(16, 0, 0, 0).ToArray()), "FAULT_QUEUE_ALLOC");
        return (answer.Argument(8), answer);
    }

    /// <summary>The descriptor of the file that an ioctl has opened.</summary>
    public Task<WireDescriptor> ClaimAsync(WireAnswer opened) => WireDescriptor.ConnectAsync(path, WireFrames.Claim(opened.Claim!));

    /// <summary>A selftest's request; returns the fields of the answer, from offset 16 on.</summary>
    public async Task<WireAnswer> TestAsync(uint op, uint id, params uint[] fields) => await ExpectAsync(WireFrames.Test(NextTag(), Ticket, op, id, fields), $"IOMMU_TEST_CMD {op}");

    /// <summary>Attaches a device to a page table whose faults go to a queue.</summary>
    public async Task<(uint Stdev, uint Device)> AttachAsync(uint queue)
    {
        var ioas = await AllocateIoasAsync();
        var domain = await TestAsync(12, ioas, 0, 0, 0, 4);
        var (stdev, device) = (domain.Argument(16), domain.Argument(24));
        var table = await ExpectAsync(
            WireFrames.Ioctl(NextTag(), Ticket, 0x3B89, new WireBytes().U32(48, 4, device, ioas, 0, 0, 0, 0).U64(0).U32(queue, 0).ToArray()), "HWPT_ALLOC with a fault queue");
        await TestAsync(10, stdev, table.Argument(16));
        return (stdev, device);
    }

    /// <summary>Raises a fault of such a device.</summary>
    public Task<WireAnswer> FaultAsync(uint device, uint group) => TestAsync(15, 0, device, 0, group, 1);

    public void Dispose()
    {
        calls.Dispose();
        context.Dispose();
    }
}

/// <summary>The answer to an ioctl, taken apart as docs/protocol.md says.</summary>
/// <param name="Errno">0, or Linux's number.</param>
/// <param name="Bytes">What goes to the argument's start.</param>
/// <param name="Claim">The claim of the file that was opened; null for none.</param>
/// <param name="Emptied">The tickets of queues whose marks are to be taken.</param>
internal sealed record WireAnswer(uint Errno, byte[] Bytes, byte[]? Claim, byte[][] Emptied)
{
    public uint Argument(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes.AsSpan(offset));

    public static WireAnswer Read(WireFrame frame)
    {
        Assert.True(frame.Kind == 0x90, $"an ioctl has an answer, it was {frame}");
        using var reader = new BinaryReader(new MemoryStream(frame.Body));
        var (errno, _, length) = (reader.ReadUInt32(), reader.ReadUInt32(), reader.ReadInt32());
        var (writes, copies, opens) = (reader.ReadUInt16(), reader.ReadByte(), reader.ReadByte());
        var (_, emptied, _, _) = (reader.ReadUInt16(), reader.ReadUInt16(), reader.ReadUInt32(), reader.ReadUInt32());
        var argument = reader.ReadBytes(length);
        for (var i = 0; i < writes; i++)
        {
            reader.ReadUInt64();
            var content = reader.ReadInt32();
            reader.ReadBytes(12 + content);
        }

        if (copies > 0)
        {
            reader.ReadBytes(12);
            for (var pieces = reader.ReadUInt32(); pieces > 0; pieces--)
            {
                reader.ReadBytes(16);
                var identity = reader.ReadUInt16();
                reader.ReadBytes(6 + identity);
            }
        }

        byte[]? claim = null;
        if (opens > 0)
        {
            reader.ReadBytes(8);
            claim = reader.ReadBytes(16);
        }

        return new WireAnswer(errno, argument, claim, [.. Enumerable.Range(0, emptied).Select(_ => reader.ReadBytes(16))]);
    }
}
