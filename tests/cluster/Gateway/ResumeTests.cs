using System.Runtime.Versioning;
using System.Security.Cryptography;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>Descriptors of durable contexts, whose gateway ends and is followed by another one.</summary>
[SupportedOSPlatform("linux")]
public sealed class ResumeTests : IAsyncLifetime
{
    private const uint Ebadf = 9, Enoent = 2;
    private const ulong Lane = 77;
    private const byte Durable = 2, Volatile = 1;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-resume-");

    // Silos of one user have the same secret; those in a test's process have none in common.
    private readonly HandleSeal _seal = new(RandomNumberGenerator.GetBytes(32));
    private IHost? _host;

    private string Socket => Path.Combine(_folder.FullName, "socket");

    public Task InitializeAsync() => StartAsync();

    public async Task DisposeAsync()
    {
        await StopAsync();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_call_that_is_sent_again_to_the_next_gateway_is_done_once()
    {
        using var before = await WireProgram.OpenAsync(Socket, Durable);
        var first = await before.ExpectAsync(WireFrames.Named(WireFrames.IoasAlloc(1, before.Ticket), Lane, 1), "IOAS_ALLOC");
        await RestartAsync();

        using var after = await WireProgram.ResumeAsync(Socket, before.Context);
        var again = await after.ExpectAsync(WireFrames.Named(WireFrames.IoasAlloc(1, after.Ticket), Lane, 1, isRepeat: true), "IOAS_ALLOC, sent again");
        var next = await after.ExpectAsync(WireFrames.Named(WireFrames.IoasAlloc(2, after.Ticket), Lane, 2, settled: 1), "another IOAS_ALLOC");

        Assert.Equal(first.Argument(8), again.Argument(8));
        Assert.NotEqual(first.Argument(8), next.Argument(8));
        Assert.Equal(0u, await after.DestroyAsync(first.Argument(8)));
        Assert.Equal(Enoent, await after.DestroyAsync(first.Argument(8)));
    }

    [Fact]
    public async Task Lanes_number_their_calls_by_themselves()
    {
        using var program = await WireProgram.OpenAsync(Socket, Durable);
        var ids = new HashSet<uint>();
        for (ulong lane = 1; lane <= 3; lane++)
        {
            Assert.True(ids.Add((await program.ExpectAsync(WireFrames.Named(WireFrames.IoasAlloc((uint)lane, program.Ticket), lane, 1), "IOAS_ALLOC")).Argument(8)), $"lane {lane} gets an IOAS of its own");
        }

        Assert.Contains((await program.ExpectAsync(WireFrames.Named(WireFrames.IoasAlloc(9, program.Ticket), 2, 1, isRepeat: true), "IOAS_ALLOC")).Argument(8), ids);
    }

    [Fact]
    public async Task Copies_of_one_descriptor_lead_to_one_context_which_is_open_until_the_last_is_closed()
    {
        using var before = await WireProgram.OpenAsync(Socket, Durable);
        var ioas = await before.AllocateIoasAsync();
        await RestartAsync(settings => settings.ResumePatience = TimeSpan.Zero);

        var one = await WireProgram.ResumeAsync(Socket, before.Context);
        using var other = await WireProgram.ResumeAsync(Socket, before.Context);
        var closed = one.Context;
        closed.Dispose();
        await one.Calls.CallAsync(WireFrames.Closed(1, closed.Ticket));
        Assert.Equal(0u, await other.DestroyAsync(ioas));
        other.Context.Dispose();
        Assert.Equal(1u, (await other.Calls.CallAsync(WireFrames.Closed(2, other.Ticket))).Number(0));
        Assert.Equal(Ebadf, await WireDescriptor.RefusedAsync(Socket, WireFrames.Resume(before.Context.Resumption)));
        one.Dispose();
    }

    [Fact]
    public async Task A_context_that_one_process_has_closed_waits_for_the_copies_of_others()
    {
        using var before = await WireProgram.OpenAsync(Socket, Durable);
        var ioas = await before.AllocateIoasAsync();
        await RestartAsync();

        using (var one = await WireProgram.ResumeAsync(Socket, before.Context))
        {
            one.Context.Dispose();
            Assert.Equal(1u, (await one.Calls.CallAsync(WireFrames.Closed(1, one.Ticket))).Number(0));
        }

        using var late = await WireProgram.ResumeAsync(Socket, before.Context);
        Assert.Equal(0u, await late.DestroyAsync(ioas));
    }

    [Fact]
    public async Task A_queues_file_is_resumed_with_what_is_in_it()
    {
        using var before = await WireProgram.OpenAsync(Socket, Durable);
        var (id, answer) = await before.AllocateFaultQueueAsync();
        using var queue = await before.ClaimAsync(answer);
        var (_, device) = await before.AttachAsync(id);
        await before.FaultAsync(device, group: 5);
        await queue.Connection.ReadableAsync("a queue with a fault");
        await RestartAsync();

        using var after = await WireProgram.ResumeAsync(Socket, before.Context);
        using var resumed = await WireDescriptor.ConnectAsync(Socket, WireFrames.Resume(queue.Resumption));
        Assert.Equal(2, resumed.Kind);
        await resumed.Connection.ReadableAsync("a resumed queue with a fault");
        var read = await after.Calls.CallAsync(WireFrames.Read(1, resumed.Ticket, 40));
        Assert.Equal((0u, 40u), (read.Number(0), read.Number(4)));
        Assert.Equal(5u, read.Number(24 + 12));
    }

    [Fact]
    public async Task What_was_made_up_or_given_to_another_user_resumes_nothing()
    {
        using var program = await WireProgram.OpenAsync(Socket, Durable);
        var resumption = program.Context.Resumption;
        for (var i = 0; i < resumption.Length; i++)
        {
            var forged = resumption.ToArray();
            forged[i] ^= 1;
            Assert.Equal(Ebadf, await WireDescriptor.RefusedAsync(Socket, WireFrames.Resume(forged)));
        }

        Assert.Equal(Ebadf, await WireDescriptor.RefusedAsync(Socket, WireFrames.Resume(new byte[64])));
        Assert.Equal(1u, await program.AllocateIoasAsync());
    }

    [Fact]
    public async Task A_volatile_context_can_not_be_resumed()
    {
        using var context = await WireDescriptor.OpenAsync(Socket, Volatile);

        Assert.False(context.OutlivesItsGateway, "a volatile context's descriptor has a resumption of zeros");
    }

    [Fact]
    public async Task A_resumption_of_another_length_is_malformed()
    {
        using var connection = await WireConnection.ConnectAsync(Socket + "-fd");
        await connection.SendAsync(WireFrames.Hello(WireFrames.Descriptor), WireFrames.Resume(new byte[63]));
        await connection.ExpectByeAsync(1, "RESUME with 63 bytes");
    }

    private async Task RestartAsync(Action<GatewaySettings>? configure = null)
    {
        await StopAsync();
        await StartAsync(configure);
    }

    private async Task StartAsync(Action<GatewaySettings>? configure = null)
    {
        var settings = new GatewaySettings { Path = Socket };
        configure?.Invoke(settings);
        _host = await SiloHost.StartInProcessAsync(
            silo => silo.Services.AddSingleton(_seal),
            contexts: new ContextOptions { DefaultMode = ContextMode.Durable },
            journal: new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path.Combine(_folder.FullName, "journal.db"), Cluster = "resume" },
            gateway: settings);
    }

    private async Task StopAsync()
    {
        await _host!.StopAsync();
        await ((IAsyncDisposable)_host).DisposeAsync();
    }
}
