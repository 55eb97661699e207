using IommuFd.Client;
using IommuFd.Silo.Gateway.Remote;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>What may be said by TCP, and how much of it; frame by frame, on a port that is unencrypted.</summary>
public sealed class RemoteFrameTests
{
    private const int Malformed = 1, NotPermitted = 3, Limit = 4;

    private static readonly byte[] Any = new byte[16];

    [Theory]
    [InlineData(WireFrames.Descriptor, 0, "it needs the gateway's Unix socket")]
    [InlineData(WireFrames.Calls, 1, "HELLO's process must be 0")]
    public async Task Descriptors_and_processes_are_of_the_gateways_machine(byte role, uint process, string why)
    {
        await using var silo = await RemoteSilo.StartPlainAsync();
        using var connection = await WireConnection.ConnectAsync(silo.Port);
        await connection.SendAsync(WireFrames.Hello(role, process: process, token: RemoteSilo.AliceToken));

        Assert.Contains(why, (await connection.ExpectByeAsync(NotPermitted, $"role {role}, process {process}")).Why.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Requests_on_descriptors_are_not_permitted()
    {
        await using var silo = await RemoteSilo.StartPlainAsync();
        using var program = await WireProgram.OpenAsync(silo.Path);
        foreach (var (what, frame) in ((string, byte[])[])
            [
                ("IOCTL", WireFrames.IoasAlloc(5, program.Ticket)), ("READ", WireFrames.Read(5, program.Ticket, 8)), ("WRITE", WireFrames.Write(5, program.Ticket, [1])),
                ("TOOK", WireFrames.Took(program.Ticket)), ("RESOLVE", WireFrames.Resolve(5, Any)), ("CLOSED", WireFrames.Closed(5, program.Ticket)),
                ("DISCARD", WireFrames.Discard(5, Any)), ("PINNED", WireFrames.Pinned(5)), ("an answer to LOOK", WireFrames.Looked(5, 0)), ("an unknown kind", new WireBytes().Frame(0x7F, 5)),
            ])
        {
            using var connection = await WelcomeAsync(silo);
            await connection.SendAsync(frame);
            await connection.ExpectByeAsync(NotPermitted, what);
        }

        Assert.Equal(1u, await program.AllocateIoasAsync());
    }

    [Fact]
    public async Task What_is_malformed_by_the_socket_is_malformed_by_TCP()
    {
        await using var silo = await RemoteSilo.StartPlainAsync();
        foreach (var row in MalformedTests.Greetings.Where(row => (string)row[0] != "the other socket's role"))
        {
            using var connection = await WireConnection.ConnectAsync(silo.Port);
            await connection.SendAsync((byte[])row[1]);
            await connection.ExpectByeAsync((int)row[2], (string)row[0]);
        }

        foreach (var row in MalformedTests.Calls.Where(row => ((byte[])row[1])[4] is 0x30 or 0x33))
        {
            using var connection = await WelcomeAsync(silo);
            await connection.SendAsync((byte[])row[1]);
            await connection.ExpectByeAsync(Malformed, (string)row[0]);
        }
    }

    [Fact]
    public async Task An_address_that_gave_too_many_wrong_tokens_must_wait_whatever_it_gives_and_open_connections_go_on()
    {
        await using var silo = await RemoteSilo.StartPlainAsync(settings => settings.Attempts = (3, TimeSpan.FromHours(1)));
        using var before = await WelcomeAsync(silo);
        for (var i = 0; i < 3; i++)
        {
            using var wrong = await WireConnection.ConnectAsync(silo.Port);
            await wrong.SendAsync(WireFrames.Hello(WireFrames.Calls, token: $"{RemoteSilo.AliceToken}{i}"));
            await wrong.ExpectByeAsync(NotPermitted, $"wrong token {i + 1}");
        }

        using var right = await WireConnection.ConnectAsync(silo.Port);
        await right.SendAsync(WireFrames.Hello(WireFrames.Calls, token: RemoteSilo.AliceToken));
        Assert.Contains("too many wrong proofs came from 127.0.0.1", (await right.ExpectByeAsync(Limit, "the right token, too soon")).Why.Text, StringComparison.Ordinal);
        Assert.True(silo.Services.GetRequiredService<RemoteServer>().Refusals == 4, "four are refused");
        Assert.Equal(0xB3, (await before.CallAsync(WireFrames.Grant(5, Any, "token bob"))).Kind);
    }

    [Fact]
    public async Task More_connections_of_an_identity_than_permitted_get_BYE_and_another_identity_has_its_own()
    {
        await using var silo = await RemoteSilo.StartPlainAsync(settings => settings.MaxConnections = 2);
        using var one = await WelcomeAsync(silo);
        using var two = await WelcomeAsync(silo);
        using var three = await WireConnection.ConnectAsync(silo.Port);
        await three.SendAsync(WireFrames.Hello(WireFrames.Calls, token: RemoteSilo.AliceToken));
        Assert.Contains("token alice has 2 connections", (await three.ExpectByeAsync(Limit, "a third connection")).Why.Text, StringComparison.Ordinal);
        using var bobs = await WelcomeAsync(silo, RemoteSilo.BobToken);
    }

    [Fact]
    public async Task More_contexts_of_an_identity_than_permitted_are_EMFILE_and_room_comes_with_the_next_close()
    {
        await using var silo = await RemoteSilo.StartPlainAsync(settings => settings.MaxContexts = 2);
        var (alice, bob) = (Client(silo, RemoteSilo.AliceToken), Client(silo, RemoteSilo.BobToken));
        var first = await alice.OpenAsync("first");
        await using var second = await Client(silo, RemoteSilo.AliceToken).OpenAsync("second, of another process");
        Assert.Equal(Uapi.Errno.EMFILE, (await Assert.ThrowsAsync<IommufdException>(() => alice.OpenAsync("third"))).Errno);
        await using var bobs = await bob.OpenAsync("bob's");
        await first.CloseAsync();
        await using var third = await alice.OpenAsync("third");
    }

    [Fact]
    public async Task More_requests_under_way_on_all_connections_of_an_identity_than_permitted_get_BYE()
    {
        await using var silo = await RemoteSilo.StartPlainAsync(settings => settings.MaxUnderWayInAll = 3);
        await using var context = await Client(silo, RemoteSilo.AliceToken).OpenAsync("waits");
        using var one = await WireConnection.CallsAsync(silo.Path, program: 1);
        using var two = await WireConnection.CallsAsync(silo.Path, program: 2);

        // Each waits for a proof that does not come.
        await one.SendAsync(WireFrames.Resolve(1, [1, .. new byte[15]]), WireFrames.Resolve(2, [2, .. new byte[15]]));
        await two.SendAsync(WireFrames.Resolve(1, [3, .. new byte[15]]), WireFrames.Resolve(2, [4, .. new byte[15]]));
        var answers = new[] { await LastAsync(one), await LastAsync(two) };
        Assert.True(answers.Count(last => last.Kind == WireFrame.Bye && last.Why.Reason == Limit) == 1, $"of four requests under way of three one connection ends with BYE {Limit}, the last frames were {answers[0]} and {answers[1]}");

        // What is over is not counted, and another identity never was.
        await context.AllocateIoasAsync();
        using var three = await WireConnection.CallsAsync(silo.Path, program: 3);
        Assert.Equal(0x95, (await three.CallAsync(WireFrames.Closed(1, Any))).Kind);
    }

    [Fact]
    public async Task Parts_of_frames_of_all_connections_of_an_identity_are_bounded_together()
    {
        const int Most = 32 << 20, Part = 12 << 20;
        await using var silo = await RemoteSilo.StartPlainAsync(settings => settings.MaxBytesInAll = Most);
        using var one = await WelcomeAsync(silo);
        using var two = await WelcomeAsync(silo);
        using var three = await WelcomeAsync(silo);
        using var bobs = await WelcomeAsync(silo, RemoteSilo.BobToken);
        byte[] part = [.. BitConverter.GetBytes(16 << 20), 0x30, 0, 0, 0, 5, 0, 0, 0, .. new byte[Part]];
        await one.SendAsync(part);
        await two.SendAsync(part);
        await bobs.SendAsync(part);
        await three.TrySendAsync(part);
        var ended = await Task.WhenAny(one.ExpectByeAsync(Limit, "36 MiB of 32"), two.ExpectByeAsync(Limit, "36 MiB of 32"), three.ExpectByeAsync(Limit, "36 MiB of 32"));
        Assert.Contains("token alice has", (await ended).Why.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_oldest_that_proves_nothing_makes_room_for_a_newer_one()
    {
        await using var silo = await RemoteSilo.StartPlainAsync();
        List<WireConnection> silent = [];
        for (var i = 0; i < 65; i++)
        {
            silent.Add(await WireConnection.ConnectAsync(silo.Port));
        }

        await silent[0].DrainAsync();
        using var another = await WelcomeAsync(silo);
        silent.ForEach(connection => connection.Dispose());
    }

    private static async Task<WireConnection> WelcomeAsync(RemoteSilo silo, string token = RemoteSilo.AliceToken)
    {
        var connection = await WireConnection.ConnectAsync(silo.Port);
        var welcome = await connection.CallAsync(WireFrames.Hello(WireFrames.Calls, token: token));
        Assert.True(welcome.Kind == 0x81, $"the answer to HELLO is WELCOME, it was {welcome}");
        return connection;
    }

    private static IommufdClient Client(RemoteSilo silo, string token)
        => new($"tcp://127.0.0.1:{silo.Port}", new IommufdClientOptions { Credentials = new GatewayCredentials { Token = token } });

    // The second answer, or BYE.
    private static async Task<WireFrame> LastAsync(WireConnection connection)
    {
        var first = await connection.AnswerAsync();
        return first.Kind == WireFrame.Bye ? first : await connection.AnswerAsync();
    }
}
