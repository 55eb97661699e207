namespace IommuFd.ClusterTests.Gateway;

/// <summary>What breaks the protocol's rules ends its connection with a reason, and touches nothing else.</summary>
public sealed class MalformedTests(GatewaySilo silo) : IClassFixture<GatewaySilo>
{
    private const int Malformed = 1, NoCommonVersion = 2;

    private static readonly byte[] Any = new byte[16];

    /// <summary>What a connection may not begin with.</summary>
    public static TheoryData<string, byte[], int> Greetings => new()
    {
        { "IOCTL first", WireFrames.IoasAlloc(7, Any), Malformed },
        { "OPEN first", WireFrames.Open(), Malformed },
        { "PAD first", WireFrames.Pad(8), Malformed },
        { "an unknown kind first", new WireBytes().Frame(0x77, 1), Malformed },
        { "another magic", new WireBytes().U32(0x12345678).Zeros(28).Frame(0x01, 1), Malformed },
        { "an empty HELLO", new WireBytes().Frame(0x01, 1), Malformed },
        { "HELLO with role 0", WireFrames.Hello(0), Malformed },
        { "HELLO with role 3", WireFrames.Hello(3), Malformed },
        { "HELLO with program 0", WireFrames.Hello(WireFrames.Calls, program: 0), Malformed },
        { "HELLO with a byte behind its name", WireFrames.HelloBody(WireFrames.Calls).Zeros(1).Frame(0x01, 1), Malformed },
        { "HELLO whose name is longer than the body", new WireBytes().U32(WireFrames.Magic).U16(1, 1).U8(1).Zeros(7).U64(1).U16(9, 0).Zeros(4).Frame(0x01, 1), Malformed },
        { "HELLO whose name is no UTF-8", new WireBytes().U32(WireFrames.Magic).U16(1, 1).U8(1).Zeros(7).U64(1).U16(1, 0).Zeros(4).U8(0xFF).Frame(0x01, 1), Malformed },
        { "HELLO with a reserved byte", new WireBytes().U32(WireFrames.Magic).U16(1, 1).U8(1, 1).Zeros(6).U64(1).U16(0, 0).Zeros(4).Frame(0x01, 1), Malformed },
        { "a reserved byte in the header", [32, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0], Malformed },
        { "a body of 4,097 bytes before WELCOME", [0x01, 0x10, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], Malformed },
        { "a body of 2^32 - 1 bytes", [0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 1, 0, 0, 0], Malformed },
        { "versions 2 to 9", WireFrames.Hello(WireFrames.Calls, lowest: 2, highest: 9), NoCommonVersion },
        { "version 0", WireFrames.Hello(WireFrames.Calls, lowest: 0, highest: 0), NoCommonVersion },
        { "the other socket's role", WireFrames.Hello(WireFrames.Descriptor), Malformed },
    };

    /// <summary>What a calls connection may not send.</summary>
    public static TheoryData<string, byte[]> Calls => new()
    {
        { "HELLO again", WireFrames.Hello(WireFrames.Calls) },
        { "OPEN", WireFrames.Open() },
        { "PROVE", WireFrames.Prove(Any) },
        { "PAD", WireFrames.Pad(8) },
        { "a kind that is unknown", new WireBytes().Frame(0x7F, 5) },
        { "an answer of the gateway's", new WireBytes().Frame(0x90, 5) },
        { "BYE", new WireBytes().U16(1, 0).Frame(0xFF, 5) },
        { "an ioctl without a body", new WireBytes().Frame(0x10, 5) },
        { "an ioctl with a byte too much", WireFrames.IoctlBody(Any, 0x3B80, new byte[8]).Zeros(1).Frame(0x10, 5) },
        { "an ioctl with a byte too few", WireFrames.IoctlBody(Any, 0x3B80, new byte[8]).ToArray() is var whole ? new WireBytes().U8(whole.AsSpan(..^1)).Frame(0x10, 5) : [] },
        { "an argument of 4,097 bytes", WireFrames.IoctlBody(Any, 0x3B80, new byte[4097]).Frame(0x10, 5) },
        { "tail 3", WireFrames.IoctlBody(Any, 0x3B80, new byte[8], tail: 3).Frame(0x10, 5) },
        { "file 3", WireFrames.IoctlBody(Any, 0x3B80, new byte[8], file: 3).Frame(0x10, 5) },
        { "flag 8", WireFrames.IoctlBody(Any, 0x3B80, new byte[8], flags: 8).Frame(0x10, 5) },
        { "a fault that is missing", WireFrames.IoctlBody(Any, 0x3B80, [], flags: 4).Frame(0x10, 5) },
        { "a buffer that is missing", WireFrames.IoctlBody(Any, 0x3B85, new byte[40], buffers: 1).Frame(0x10, 5) },
        { "255 buffers that are missing", WireFrames.IoctlBody(Any, 0x3B85, new byte[40], buffers: 255).Frame(0x10, 5) },
        { "buffers out of order", WireFrames.IoctlBody(Any, 0x3B85, new byte[40], buffers: 2).Probed(1, 0, 1).Probed(0, 0, 1).Frame(0x10, 5) },
        { "a buffer twice", WireFrames.IoctlBody(Any, 0x3B85, new byte[40], buffers: 2).Probed(0, 0, 1).Probed(0, 0, 1).Frame(0x10, 5) },
        { "sequence 1 without a session", new WireBytes().U8(Any).U64(0, 1, 0).U32(0x3B80, 8).Zeros(4).U32(8).Zeros(8).Frame(0x10, 5) },
        { "a sequence that is settled", new WireBytes().U8(Any).U64(9, 1, 1).U32(0x3B80, 8).Zeros(4).U32(8).Zeros(8).Frame(0x10, 5) },
        { "READ with a reserved byte", new WireBytes().U8(Any).Zeros(24).U64(8).U8(0, 1, 0, 0).U32(8).Frame(0x11, 5) },
        { "WRITE whose content is longer than the body", new WireBytes().U8(Any).Zeros(24).U64(8).Zeros(4).U32(9).Zeros(8).Frame(0x12, 5) },
        { "WRITE of more than 1 MiB", WireFrames.Write(5, Any, new byte[(1 << 20) + 1]) },
        { "TOOK of two marks", WireFrames.Took(Any, 2) },
        { "RESOLVE of 15 bytes", new WireBytes().Zeros(15).Frame(0x14, 5) },
        { "CLOSED of 17 bytes", new WireBytes().Zeros(17).Frame(0x15, 5) },
        { "DISCARD without a body", new WireBytes().Frame(0x16, 5) },
        { "PINNED of a process with too large a number", WireFrames.Pinned(5, 0x8000_0000) },
        { "GRANT without a body", new WireBytes().Frame(0x33, 5) },
        { "GRANT with a reserved byte", new WireBytes().U8(Any).U16(6).U8(1).Zeros(5).Text("user 1").Frame(0x33, 5) },
        { "GRANT whose identity is longer than the body", new WireBytes().U8(Any).U16(7).Zeros(6).Text("user 1").Frame(0x33, 5) },
        { "GRANT whose identity is shorter than the body", new WireBytes().U8(Any).U16(5).Zeros(6).Text("user 1").Frame(0x33, 5) },
        { "GRANT to 513 bytes", WireFrames.Grant(5, Any, new string('u', 513)) },
        { "GRANT to what is no UTF-8", new WireBytes().U8(Any).U16(1).Zeros(6).U8(0xFF).Frame(0x33, 5) },
        { "CALL with a message that is none", new WireBytes().U8(Any).U8(1).Zeros(7).Text("{").Frame(0x30, 5) },
        { "CALL of method 15", new WireBytes().U8(Any).U8(15).Zeros(7).Text("{}").Frame(0x30, 5) },
        { "CALL of method 0", new WireBytes().U8(Any).U8(0).Zeros(7).Text("{}").Frame(0x30, 5) },
        { "LOOK", new WireBytes().U32(0, 0).Frame(0x20, 5) },
        { "an answer to LOOK that is short", new WireBytes().U8(1).Zeros(3).Frame(0xA0, 5) },
        { "a body beyond the limit", [1, 0, 0, 1, 0x10, 0, 0, 0, 5, 0, 0, 0] },
        { "a reserved byte in the header", [0, 0, 0, 0, 0x10, 0, 1, 0, 5, 0, 0, 0] },
    };

    /// <summary>What a descriptor may not send once it is open.</summary>
    public static TheoryData<string, byte[]> Descriptors => new()
    {
        { "HELLO again", WireFrames.Hello(WireFrames.Descriptor) },
        { "OPEN again", WireFrames.Open() },
        { "an ioctl", WireFrames.IoasAlloc(5, Any) },
        { "PROVE of 15 bytes", new WireBytes().Zeros(15).Frame(0x04, 5) },
        { "PROVE of 17 bytes", new WireBytes().Zeros(17).Frame(0x04, 5) },
        { "a pad of 64 KiB and a byte", WireFrames.Pad(65537) },
        { "a second pad", (byte[])[.. WireFrames.Pad(8), .. WireFrames.Pad(8)] },
        { "an unknown kind", new WireBytes().Frame(0x06, 5) },
        { "a body of 4,097 bytes", [0x01, 0x10, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0] },
        { "a body of 2^31 bytes", [0, 0, 0, 0x80, 4, 0, 0, 0, 5, 0, 0, 0] },
        { "a reserved byte in the header", [16, 0, 0, 0, 4, 0, 0, 1, 5, 0, 0, 0] },
    };

    /// <summary>What a descriptor may not begin with, behind HELLO.</summary>
    public static TheoryData<string, byte[]> Openings => new()
    {
        { "PROVE before OPEN", WireFrames.Prove(Any) },
        { "PAD before OPEN", WireFrames.Pad(8) },
        { "OPEN with mode 3", WireFrames.Open(3) },
        { "OPEN with a reserved byte", new WireBytes().U8(0, 1).Zeros(6).Frame(0x02, 2) },
        { "OPEN of 9 bytes", new WireBytes().Zeros(9).Frame(0x02, 2) },
        { "CLAIM of 15 bytes", new WireBytes().Zeros(15).Frame(0x03, 2) },
    };

    [Theory]
    [MemberData(nameof(Greetings))]
    public async Task A_connection_begins_with_HELLO(string what, byte[] bytes, int reason)
    {
        using var witness = await WireProgram.OpenAsync(silo.Path);
        using (var connection = await WireConnection.ConnectAsync(silo.Path))
        {
            await connection.SendAsync(bytes);
            await connection.ExpectByeAsync(reason, $"{what}, for calls");
        }

        // There, the role of calls is the other socket's, and all else is as malformed.
        using (var connection = await WireConnection.ConnectAsync(silo.Path + "-fd"))
        {
            await connection.SendAsync(what == "the other socket's role" ? WireFrames.Hello(WireFrames.Calls) : bytes);
            await connection.ExpectByeAsync(reason, $"{what}, as a descriptor");
        }

        await ExpectUnharmedAsync(witness, what);
    }

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task A_malformed_call_ends_its_connection_alone(string what, byte[] bytes)
    {
        using var witness = await WireProgram.OpenAsync(silo.Path);
        using var connection = await WireConnection.CallsAsync(silo.Path);
        await connection.TrySendAsync(bytes);
        var bye = await connection.ExpectByeAsync(Malformed, what);
        Assert.True(bye.Why.Text.Length > 0, $"{what}: BYE says why in words");
        Assert.True(bye.Tag == BitConverter.ToUInt32(bytes, 8), $"{what}: BYE has the tag of the frame that caused it, it had {bye.Tag}");
        await ExpectUnharmedAsync(witness, what);
    }

    [Theory]
    [MemberData(nameof(Descriptors))]
    public async Task A_malformed_descriptor_ends_alone(string what, byte[] bytes)
    {
        using var witness = await WireProgram.OpenAsync(silo.Path);
        using var descriptor = await WireDescriptor.OpenAsync(silo.Path);
        await descriptor.Connection.ReadableAsync("a context's mark");
        descriptor.Connection.TakeMarks();
        await descriptor.Connection.TrySendAsync(bytes);
        await descriptor.Connection.ExpectByeAsync(Malformed, what);
        Assert.Equal(1u, (await witness.Calls.CallAsync(WireFrames.Closed(1, descriptor.Ticket))).Number(0));
        await ExpectUnharmedAsync(witness, what);
    }

    [Theory]
    [MemberData(nameof(Openings))]
    public async Task A_descriptor_begins_with_OPEN_or_CLAIM(string what, byte[] bytes)
    {
        using var connection = await WireConnection.ConnectAsync(silo.Path + "-fd");
        await connection.SendAsync(WireFrames.Hello(WireFrames.Descriptor));
        await connection.AnswerAsync();
        await connection.SendAsync(bytes);
        await connection.ExpectByeAsync(Malformed, what);
    }

    [Fact]
    public async Task A_tag_that_is_under_way_is_malformed()
    {
        using var connection = await WireConnection.CallsAsync(silo.Path);
        await connection.SendAsync(WireFrames.Resolve(9, Any), WireFrames.Resolve(9, Any));
        await connection.ExpectByeAsync(Malformed, "a tag twice");
    }

    [Fact]
    public async Task Frames_before_the_malformed_one_run()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        await program.Calls.SendAsync(WireFrames.IoasAlloc(1, program.Ticket), new WireBytes().Frame(0x7F, 2));
        await program.Calls.ExpectByeAsync(Malformed, "an unknown kind behind an ioctl");
        using var calls = await WireConnection.CallsAsync(silo.Path);

        Assert.True(WireAnswer.Read(await calls.CallAsync(WireFrames.Destroy(1, program.Ticket, 1))).Errno == 0, "IOAS 1 was allocated by the frame before the malformed one");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(30)]
    public async Task Half_a_frame_at_the_end_is_malformed(int bytes)
    {
        using var connection = await WireConnection.CallsAsync(silo.Path);
        await connection.SendAsync(WireFrames.IoasAlloc(1, Any)[..bytes]);
        connection.EndSending();
        await connection.ExpectByeAsync(Malformed, $"{bytes} bytes of a frame and the end");
    }

    [Fact]
    public async Task A_frame_may_come_byte_by_byte()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        foreach (var one in WireFrames.IoasAlloc(1, program.Ticket))
        {
            await program.Calls.SendAsync([one]);
        }

        Assert.Equal(0u, WireAnswer.Read(await program.Calls.AnswerAsync()).Errno);
        using var descriptor = await WireConnection.ConnectAsync(silo.Path + "-fd");
        foreach (var one in (byte[])[.. WireFrames.Hello(WireFrames.Descriptor), .. WireFrames.Open()])
        {
            await descriptor.SendAsync([one]);
        }

        Assert.Equal((0x81, 0x82), ((await descriptor.AnswerAsync()).Kind, (await descriptor.AnswerAsync()).Kind));
    }

    [Fact]
    public async Task A_write_of_1_MiB_is_no_more_than_permitted()
    {
        using var program = await WireProgram.OpenAsync(silo.Path);
        var answer = await program.Calls.CallAsync(WireFrames.Write(1, program.Ticket, new byte[1 << 20]));

        Assert.Equal(0x92, answer.Kind);
    }

    private static async Task ExpectUnharmedAsync(WireProgram witness, string what)
    {
        var ioas = await witness.AllocateIoasAsync();
        Assert.True(await witness.DestroyAsync(ioas) == 0, $"{what}: another program's context goes on");
    }
}
