using System.ComponentModel.DataAnnotations;
using System.Net.Sockets;
using System.Runtime.Versioning;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>What one user may have of a gateway, how long it waits, and whose socket it is.</summary>
[SupportedOSPlatform("linux")]
public sealed class LimitTests
{
    private const int Malformed = 1, Limit = 4, Stopping = 6;
    private const uint Emfile = 24;

    [Fact]
    public async Task More_connections_than_permitted_get_BYE_and_room_comes_with_the_next_close()
    {
        await using var silo = await GatewaySilo.StartAsync(settings => settings.MaxConnections = 4);
        using var program = await WireProgram.OpenAsync(silo.Path);
        using var third = await WireConnection.CallsAsync(silo.Path);
        var fourth = await WireDescriptor.OpenAsync(silo.Path);
        foreach (var path in (string[])[silo.Path, silo.Path + "-fd"])
        {
            using var fifth = await WireConnection.ConnectAsync(path);
            await fifth.ExpectByeAsync(Limit, $"a fifth connection at {path}");
        }

        fourth.Dispose();
        Assert.Equal(1u, (await third.CallAsync(WireFrames.Closed(1, fourth.Ticket))).Number(0));
        await Eventually.TrueAsync(
            async () =>
            {
                using var again = await WireConnection.ConnectAsync(silo.Path);
                await again.TrySendAsync(WireFrames.Hello(WireFrames.Calls));
                return (await again.AnswerAsync()).Kind == 0x81;
            },
            "a fourth connection after another has closed");
        Assert.Equal(1u, await program.AllocateIoasAsync());
    }

    [Fact]
    public async Task More_contexts_than_permitted_are_EMFILE()
    {
        await using var silo = await GatewaySilo.StartAsync(settings => settings.MaxContexts = 2);
        using var one = await WireDescriptor.OpenAsync(silo.Path);
        using var two = await WireDescriptor.OpenAsync(silo.Path);
        using var three = await WireConnection.ConnectAsync(silo.Path + "-fd");
        await three.SendAsync(WireFrames.Hello(WireFrames.Descriptor), WireFrames.Open());
        await three.AnswerAsync();
        var refused = await three.AnswerAsync();

        Assert.Equal((0x82, Emfile), (refused.Kind, refused.Number(0)));
        Assert.True(await three.ReceiveAsync() is null, "a descriptor that could not be opened ends");
    }

    [Fact]
    public async Task More_requests_under_way_than_permitted_get_BYE()
    {
        await using var silo = await GatewaySilo.StartAsync(settings => settings.MaxUnderWay = 8);
        using var connection = await WireConnection.ConnectAsync(silo.Path);
        var welcome = await connection.CallAsync(WireFrames.Hello(WireFrames.Calls));
        Assert.Equal(8u, welcome.Number(8));

        // Each waits for a proof that does not come.
        await connection.SendAsync([.. Enumerable.Range(0, 9).Select(tag => WireFrames.Resolve((uint)tag, [(byte)(tag + 1), .. new byte[15]]))]);
        await connection.ExpectByeAsync(Limit, "nine requests under way of eight");
    }

    [Fact]
    public async Task More_bytes_under_way_than_permitted_get_BYE()
    {
        await using var silo = await GatewaySilo.StartAsync(settings => settings.MaxBytesUnderWay = 1 << 20);
        using var program = await WireProgram.OpenAsync(silo.Path);
        var write = WireFrames.Write(1, program.Ticket, new byte[1 << 20]);
        await program.Calls.TrySendAsync(write);
        await program.Calls.ExpectByeAsync(Limit, "a request of more bytes than may be under way");
    }

    [Fact]
    public async Task A_client_that_says_nothing_is_cut_and_one_that_has_said_HELLO_is_not()
    {
        await using var silo = await GatewaySilo.StartAsync(settings => settings.HelloPatience = TimeSpan.FromMilliseconds(200));
        using var program = await WireProgram.OpenAsync(silo.Path);
        foreach (var path in (string[])[silo.Path, silo.Path + "-fd"])
        {
            using var silent = await WireConnection.ConnectAsync(path);
            using var half = await WireConnection.ConnectAsync(path);
            await half.SendAsync(WireFrames.Hello(WireFrames.Calls)[..20]);
            await silent.ExpectByeAsync(Malformed, $"silence at {path}");
            await half.ExpectByeAsync(Malformed, $"half of HELLO at {path}");
        }

        using var unopened = await WireConnection.ConnectAsync(silo.Path + "-fd");
        await unopened.SendAsync(WireFrames.Hello(WireFrames.Descriptor));
        await unopened.ExpectByeAsync(Malformed, "HELLO without OPEN");
        Assert.Equal(1u, await program.AllocateIoasAsync());
    }

    [Fact]
    public async Task A_client_that_stops_reading_is_cut_and_slows_nobody()
    {
        await using var silo = await GatewaySilo.StartAsync(settings => settings.ReadPatience = TimeSpan.FromMilliseconds(200));
        using var witness = await WireProgram.OpenAsync(silo.Path);
        using var deaf = await WireConnection.CallsAsync(silo.Path);
        var cut = FloodAsync(deaf, witness.Ticket);
        for (var rounds = 0; !cut.IsCompleted || rounds < 10; rounds++)
        {
            Assert.Equal(0u, await witness.DestroyAsync(await witness.AllocateIoasAsync()));
        }

        await cut;
    }

    // Until the gateway no longer takes anything.
    private static async Task FloodAsync(WireConnection connection, byte[] ticket)
    {
        byte[][] requests = [.. Enumerable.Range(1, 64).Select(tag => WireFrames.Ioctl((uint)tag, ticket, 0x3B80, new WireBytes().U32(8, 1_000_000).ToArray(), flags: 1))];
        var failed = await Assert.ThrowsAnyAsync<SocketException>(async () =>
        {
            while (true)
            {
                await connection.SendAsync(requests);
            }
        });
        Assert.True(failed.SocketErrorCode is SocketError.Shutdown or SocketError.ConnectionReset, $"the connection is cut, the error is {failed.SocketErrorCode}");
    }

    [Fact]
    public async Task A_descriptor_that_never_stops_sending_holds_up_no_other()
    {
        await using var silo = await GatewaySilo.StartAsync(_ => { });
        using var loud = await WireDescriptor.OpenAsync(silo.Path);
        using var stop = new CancellationTokenSource();
        byte[] proofs = [.. Enumerable.Range(0, 2048).SelectMany(_ => WireFrames.Prove(new byte[16]))];
        var sending = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                await loud.Connection.SendAsync(proofs);
            }
        });
        for (var i = 0; i < 100; i++)
        {
            using var program = await WireProgram.OpenAsync(silo.Path);
            Assert.Equal(1u, await program.AllocateIoasAsync());
        }

        await stop.CancelAsync();
        await sending;
    }

    [Fact]
    public async Task A_silo_that_stops_says_so_and_closes_what_programs_have_open()
    {
        await using var silo = await GatewaySilo.StartAsync(_ => { });
        using var program = await WireProgram.OpenAsync(silo.Path);
        var stopping = silo.StopAsync();
        await program.Calls.ExpectByeAsync(Stopping, "the silo stops");
        await stopping;

        await program.Context.Connection.DrainAsync();
        Assert.False(File.Exists(silo.Path) || File.Exists(silo.Path + "-fd"), "the sockets' files are left behind");
    }

    [Fact]
    public async Task Only_the_silos_user_may_connect()
    {
        await using var silo = await GatewaySilo.StartAsync(_ => { });

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(silo.Path));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(silo.Path + "-fd"));
    }

    [Fact]
    public async Task A_second_silo_on_the_same_path_is_refused_and_the_first_goes_on()
    {
        await using var silo = await GatewaySilo.StartAsync(_ => { });
        using var program = await WireProgram.OpenAsync(silo.Path);
        var refused = await Assert.ThrowsAsync<ValidationException>(() => GatewaySilo.StartAsync(settings => settings.Path = silo.Path));

        Assert.Contains($"Gateway:Path is '{silo.Path}', on which another silo listens", refused.Message, StringComparison.Ordinal);
        using var another = await WireProgram.OpenAsync(silo.Path);
        Assert.Equal((1u, 1u), (await program.AllocateIoasAsync(), await another.AllocateIoasAsync()));
    }

    [Fact]
    public async Task A_socket_that_a_silo_has_left_behind_is_replaced_and_a_file_is_not()
    {
        using var folder = new Folder();
        foreach (var suffix in (string[])["", "-fd"])
        {
            using var left = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

            // .NET removes the file of a socket that it closes; a killed silo's stays.
            left.Bind(new UnixDomainSocketEndPoint(folder.Path + "-moved"));
            File.Move(folder.Path + "-moved", folder.Path + suffix);
        }

        await using (var silo = await GatewaySilo.StartAsync(settings => settings.Path = folder.Path))
        {
            using var program = await WireProgram.OpenAsync(folder.Path);
            Assert.Equal(1u, await program.AllocateIoasAsync());
        }

        await File.WriteAllTextAsync(folder.Path, "a file");
        var refused = await Assert.ThrowsAsync<ValidationException>(() => GatewaySilo.StartAsync(settings => settings.Path = folder.Path));
        Assert.Contains("which is a file and no socket", refused.Message, StringComparison.Ordinal);
        Assert.Equal("a file", await File.ReadAllTextAsync(folder.Path));
    }

    private sealed class Folder : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-gateway-");

        public string Path => System.IO.Path.Combine(_folder.FullName, "socket");

        public void Dispose() => _folder.Delete(recursive: true);
    }
}
