using System.Net;
using System.Text.RegularExpressions;
using IommuFd.Client;
using IommuFd.ClusterTests.Security;
using IommuFd.GrainInterfaces;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Durability;

/// <summary>While the disk of a silo's journals is full, its callers and its operator read so, nothing acknowledged is lost, and all goes on once there is space.</summary>
public sealed partial class FullDiskTests : IAsyncLifetime
{
    private const int DiskMegabytes = 8;
    private const string Up = "Ctrl-C drains and stops it.";

    // What of an outage of the store is logged: its begin and its end.
    private const int Begins = 2014, Ends = 2016;

    private static readonly IommufdClientOptions Hasty = new() { RetryFor = TimeSpan.FromSeconds(3) };

    private readonly int _siloPort = Ports.Free(), _gatewayPort = Ports.Free();
    private readonly List<IHost> _clients = [];
    private readonly HashSet<uint> _acknowledged = [];
    private SmallDisk _disk = null!;
    private int _unknown;

    private string JournalPath => Path.Combine(_disk.Folder, "journal.db");

    public async Task InitializeAsync() => _disk = await SmallDisk.MountAsync(DiskMegabytes);

    public async Task DisposeAsync()
    {
        foreach (var client in _clients)
        {
            await client.StopAsync();
            client.Dispose();
        }

        await _disk.DisposeAsync();
    }

    [Fact]
    public async Task A_full_disk_is_named_to_callers_and_logged_once_and_what_was_acknowledged_is_there_after_a_restart()
    {
        ContextHandle handle;
        await using (var silo = await StartAsync())
        {
            var grains = await ConnectAsync();
            var context = await new IommufdClient(grains).OpenAsync("writer");
            handle = context.Handle;
            await AllocateAsync(context, 20);
            var hasty = await new IommufdClient(grains, Hasty).DuplicateAsync(handle);
            var reader = await new IommufdClient(grains, Hasty).OpenAsync("reader");
            var ioas = await reader.AllocateIoasAsync();

            var failure = await FillAndFailAsync(hasty);
            Assert.Contains($"SQLite file {JournalPath} could not ", failure.Message, StringComparison.Ordinal);
            Assert.Contains("the disk is full", failure.Message, StringComparison.Ordinal);

            // Who only reads is answered, also between failures, and that is no end of the outage.
            for (var i = 0; i < 3; i++)
            {
                await reader.GetHugePagesAsync(ioas);
                await FillAndFailAsync(hasty);
            }

            Assert.Equal([Begins], Told(silo));
            _disk.Free();
            await AllocateAsync(context, 20);
            await reader.DestroyAsync(ioas);
            await silo.WaitForLineAsync("works again");
            Assert.Equal([Begins, Ends], Told(silo));
            await ExpectAcknowledgedAsync(context);
            await silo.SignalAsync("KILL");
        }

        await GoesOnAsync(handle);
    }

    [Fact]
    public async Task A_silo_that_is_killed_while_the_disk_is_full_says_so_when_it_starts_and_has_all_of_it_once_there_is_space()
    {
        ContextHandle handle;
        await using (var silo = await StartAsync())
        {
            var context = await new IommufdClient(await ConnectAsync(), Hasty).OpenAsync("writer");
            handle = context.Handle;
            await AllocateAsync(context, 20);
            await FillAndFailAsync(context);
            await silo.SignalAsync("KILL");
        }

        _disk.Fill();
        await using (var silo = StartSilo())
        {
            Assert.Equal(1, await silo.WaitForExitAsync());
            Assert.Contains($"SQLite file {JournalPath} could not set up its tables: the disk is full", silo.Output, StringComparison.Ordinal);
        }

        _disk.Free();
        await GoesOnAsync(handle);
    }

    [Fact]
    public async Task A_silo_whose_journal_is_new_on_a_full_disk_says_so()
    {
        _disk.Fill();
        await using var silo = StartSilo();

        Assert.Equal(1, await silo.WaitForExitAsync());
        Assert.Contains($"SQLite file {JournalPath} could not claim the file: No space left on device", silo.Output, StringComparison.Ordinal);
    }

    // The events that are warnings or worse, and the end of an outage.
    private static IEnumerable<int> Told(ChildProcess silo)
        => Event().Matches(silo.Output).Select(told => (Level: told.Groups[1].Value, Id: int.Parse(told.Groups[2].Value, System.Globalization.CultureInfo.InvariantCulture)))
            .Where(told => told.Level is "warn" or "fail" or "crit" || told.Id == Ends)
            .Select(told => told.Id);

    [GeneratedRegex(@"^(\w{4}): [\w.]+\[(\d+)\]$", RegexOptions.Multiline)]
    private static partial Regex Event();

    private ChildProcess StartSilo() => _disk.Start(
        "iommufd-silo.dll", $"--Silo:SiloPort={_siloPort}", $"--Silo:GatewayPort={_gatewayPort}", "--Journal:Store=sqlite", $"--Journal:Path={JournalPath}", "--Contexts:Lease=0");

    private async Task<ChildProcess> StartAsync()
    {
        var silo = StartSilo();
        await silo.WaitForLineAsync(Up);
        return silo;
    }

    private async Task<IGrainFactory> ConnectAsync()
    {
        var host = GuardedSilo.Client(new IPEndPoint(IPAddress.Loopback, _gatewayPort));
        _clients.Add(host);
        await host.StartAsync();
        return host.Services.GetRequiredService<IGrainFactory>();
    }

    private async Task AllocateAsync(IommuContext context, int count)
    {
        for (var i = 0; i < count; i++)
        {
            _acknowledged.Add((await context.AllocateIoasAsync()).Value);
        }
    }

    // A file of SQLite's that is closed, or begun anew, has space in it once more.
    private async Task<IommufdTransportException> FillAndFailAsync(IommuContext context)
    {
        while (true)
        {
            _disk.Fill();
            try
            {
                await AllocateAsync(context, 1);
            }
            catch (IommufdTransportException failure)
            {
                _unknown++;
                return failure;
            }
        }
    }

    // A silo that starts recovers the context, and everything works.
    private async Task GoesOnAsync(ContextHandle handle)
    {
        await using var silo = await StartAsync();
        var context = await new IommufdClient(await ConnectAsync()).DuplicateAsync(handle);
        await ExpectAcknowledgedAsync(context);
        await AllocateAsync(context, 20);
        await ExpectAcknowledgedAsync(context);
        Assert.Empty(Told(silo));
    }

    private async Task ExpectAcknowledgedAsync(IommuContext context)
    {
        var there = (await context.InspectAsync()).Objects.Select(item => item.Object.Id.Value).ToHashSet();
        Assert.True(_acknowledged.IsSubsetOf(there), $"every IOAS that was acknowledged is there: {string.Join(", ", _acknowledged.Except(there))} are not");
        Assert.True(there.Count <= _acknowledged.Count + _unknown, $"{there.Count} IOASes are there, {_acknowledged.Count} were acknowledged and {_unknown} may be");
    }
}
