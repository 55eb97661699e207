using System.Buffers.Binary;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Security;

/// <summary>A client that knows the secret and then sends nonsense: its own connection may end, and no one else's.</summary>
public sealed class ProvedPeerTests(GuardedSilo silo, ITestOutputHelper output) : IClassFixture<GuardedSilo>
{
    private const int Connections = 50, FramesOfEach = 40;

    // Of a header's first four bytes: the flag of a context of the caller, and the bits of the direction, of which 0 to 3 are directions. With either,
    // Orleans ends the process (docs/upstream.md).
    private const uint RequestContext = 0x0010, NoDirection = 0x000C_0000;

    [Fact]
    public async Task Random_frames_do_not_end_the_silo()
    {
        var random = new Random(Seed.Of(output));
        var preamble = await silo.PreambleAsync();
        for (var i = 0; i < Connections; i++)
        {
            using var peer = await RawPeer.ConnectProvedAsync(silo.GatewayPort, silo.Secret);
            await peer.SendAsync(preamble);
            for (var j = 0; j < FramesOfEach && await peer.SendAsync(Frame(random)); j++)
            {
            }
        }

        await silo.AnswersAsync();
    }

    [Theory]
    [InlineData((16 << 10) + 1, 0)]
    [InlineData(int.MaxValue, 0)]
    [InlineData(-1, 0)]
    [InlineData(1, (100 << 20) + 1)]
    [InlineData(1, -1)]
    public async Task A_frame_that_claims_more_than_a_message_may_have_ends_its_connection(int header, int body)
    {
        using var peer = await RawPeer.ConnectProvedAsync(silo.GatewayPort, silo.Secret);
        await peer.SendAsync(await silo.PreambleAsync());
        await peer.SendAsync((byte[])[.. BitConverter.GetBytes(header), .. BitConverter.GetBytes(body)]);

        await peer.ReadToEndAsync();
        await silo.AnswersAsync();
    }

    private static byte[] Frame(Random random)
    {
        var (header, body) = (random.Next(4, 300), random.Next(200));
        var frame = new byte[8 + header + body];
        random.NextBytes(frame);
        BinaryPrimitives.WriteInt32LittleEndian(frame, header);
        BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(4), body);
        var flags = frame.AsSpan(8);
        BinaryPrimitives.WriteUInt32LittleEndian(flags, BinaryPrimitives.ReadUInt32LittleEndian(flags) & ~(RequestContext | NoDirection));
        return frame;
    }
}
