using IommuFd.GrainInterfaces.Security;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Security;

/// <summary>
/// A peer that reaches a silo's ports and does not know its secret: nothing that it sends reaches Orleans, ends the silo or fills its memory, and the
/// silo goes on answering those who know it.
/// </summary>
public sealed class UnprovedPeerTests(GuardedSilo silo, ITestOutputHelper output) : IClassFixture<GuardedSilo>, IAsyncLifetime
{
    // A silo that has answered a few requests has about 200 MB in use. What these peers send would fill it with more than a GB.
    private const long MostMemory = 512 << 20;

    private const int Claimed = 90 << 20;

    public static TheoryData<int> EachPort => [(int)PortKind.Silos, (int)PortKind.Clients];

    public Task InitializeAsync() => Task.CompletedTask;

    /// <summary>After each test the silo is there, answers a client that knows the secret, and has not grown.</summary>
    public async Task DisposeAsync()
    {
        await silo.AnswersAsync();
        var memory = silo.WorkingSet;
        Assert.True(memory < MostMemory, $"the silo has {memory >> 20} MiB in use; at most {MostMemory >> 20} were expected");
    }

    [Theory]
    [MemberData(nameof(EachPort))]
    public async Task A_wrong_answer_closes_the_connection_without_a_word(int port)
    {
        using var peer = await RawPeer.ConnectAsync(silo.PortOf((PortKind)port));
        await peer.SendAsync(new byte[SecretHandshake.AnswerLength]);

        await EndsWithoutAWordAsync(peer);
        await silo.PrintsAsync($"connections to the port for {(PortKind)port}");
    }

    [Theory]
    [MemberData(nameof(EachPort))]
    public async Task The_proof_for_one_port_is_none_for_the_other(int port)
    {
        using var peer = await RawPeer.ConnectAsync(silo.PortOf((PortKind)port));
        var other = (PortKind)port == PortKind.Silos ? PortKind.Clients : PortKind.Silos;

        await Assert.ThrowsAsync<System.Security.Authentication.AuthenticationException>(() => SecretHandshake.ProveAsync(peer, silo.Secret, other, CancellationToken.None));
    }

    [Theory]
    [MemberData(nameof(EachPort))]
    public async Task Half_an_answer_is_waited_for_but_not_for_long(int port)
    {
        using var peer = await RawPeer.ConnectAsync(silo.PortOf((PortKind)port));
        await peer.SendAsync(new byte[SecretHandshake.AnswerLength - 1]);

        await EndsWithoutAWordAsync(peer);
    }

    [Theory]
    [MemberData(nameof(EachPort))]
    public async Task An_answer_byte_by_byte_gets_no_more_time(int port)
    {
        using var peer = await RawPeer.ConnectAsync(silo.PortOf((PortKind)port));
        var end = peer.ReadToEndAsync();
        using var pause = new PeriodicTimer(SecretHandshake.SiloPatience / (SecretHandshake.AnswerLength / 4));
        var sent = 0;
        while (!end.IsCompleted && await peer.SendAsync(new byte[1]))
        {
            sent++;
            await pause.WaitForNextTickAsync();
        }

        await end;
        Assert.True(sent < SecretHandshake.AnswerLength, $"the silo took {sent} bytes, a whole answer");
    }

    [Theory]
    [MemberData(nameof(EachPort))]
    public async Task Of_200_idle_peers_the_newest_64_are_waited_for_and_a_client_gets_in(int port)
    {
        var peers = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => RawPeer.ConnectAsync(silo.PortOf((PortKind)port))));
        try
        {
            await silo.AnswersAsync();

            // Those that made room were closed at once, the others are when their time is over.
            await Task.WhenAll(peers.Select(peer => peer.ReadToEndAsync()));
        }
        finally
        {
            Array.ForEach(peers, peer => peer.Dispose());
        }
    }

    [Theory]
    [MemberData(nameof(EachPort))]
    public async Task A_frame_that_claims_90_MiB_is_not_kept(int port)
    {
        // Of each, nearly all that it claims, as fast as it goes.
        byte[] frame = [.. BitConverter.GetBytes(100), .. BitConverter.GetBytes(Claimed), .. new byte[1 << 20]];
        await Task.WhenAll(Enumerable.Range(0, 16).Select(async _ =>
        {
            using var peer = await RawPeer.ConnectAsync(silo.PortOf((PortKind)port));
            for (var sent = 0; sent < Claimed - frame.Length && await peer.SendAsync(frame); sent += frame.Length)
            {
            }

            await peer.ReadToEndAsync();
        }));
    }

    [Theory]
    [MemberData(nameof(EachPort))]
    public async Task Random_frames_are_not_read(int port)
    {
        var random = new Random(Seed.Of(output));
        for (var i = 0; i < 200; i++)
        {
            using var peer = await RawPeer.ConnectAsync(silo.PortOf((PortKind)port));
            var frames = new byte[SecretHandshake.AnswerLength + random.Next(4096)];
            random.NextBytes(frames);
            await peer.SendAsync(frames);
            await EndsWithoutAWordAsync(peer);
        }
    }

    // What the silo sent may be lost where the end of the connection comes right behind it.
    private static async Task EndsWithoutAWordAsync(RawPeer peer)
        => Assert.InRange(await peer.ReadToEndAsync(), 0, SecretHandshake.ChallengeLength);
}
