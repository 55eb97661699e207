using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.Versioning;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Silo.Gateway;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Gateway;

/// <summary>A supervisor connects for programs in other processes.</summary>
[SupportedOSPlatform("linux")]
public sealed class GatewayPeerTests
{
    private const int Root = 0, Nobody = 65534, Init = 1;

    [Theory]
    [InlineData(0, 0)]
    [InlineData(4711, 4711)]
    [InlineData(int.MaxValue, int.MaxValue)]
    public void HELLO_names_a_process(uint sent, int process)
        => Expect.Equal(process, Hello.Read(Greeting(sent)).Process, "the process that HELLO names");

    [Fact]
    public void A_process_that_no_process_can_be_is_malformed()
        => Expect.Equal(ByeReason.Malformed, Assert.Throws<FrameException>(() => Hello.Read(Greeting(0x8000_0000))).Reason, "HELLO with process 2^31");

    [Fact]
    public void A_peer_may_stand_for_a_process_of_its_user_and_root_for_any()
    {
        var root = new GatewayPeer("user 0", Root, Process: 0);
        var nobody = new GatewayPeer($"user {Nobody}", Nobody, Process: 0);

        Expect.Equal(Init, root.For(Init).Process, "the process of root's peer that names init");
        Expect.Equal(Environment.ProcessId, root.For(Environment.ProcessId).Process, "the process of root's peer that names this one");
        Expect.Equal(nobody, nobody.For(Init), "another user's peer that names init");
        Expect.Equal(root, root.For(0), "a peer that names no process");
    }

    [Fact]
    public void A_process_that_has_ended_is_as_none_named()
    {
        using var ended = Process.Start("true");
        ended.WaitForExit();
        var peer = new GatewayPeer("user 0", Root, Environment.ProcessId);

        Expect.Equal(peer, peer.For(ended.Id), "a peer that names a process that has ended");
    }

    private static byte[] Greeting(uint process)
    {
        var body = new byte[32];
        BinaryPrimitives.WriteUInt32LittleEndian(body, Hello.Magic);
        (body[4], body[6], body[8], body[16]) = (1, 1, (byte)ConnectionRole.Calls, 1);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(12), process);
        return body;
    }
}
