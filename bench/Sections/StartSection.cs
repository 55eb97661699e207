using System.Diagnostics;
using IommuFd.Bench.Harness;
using IommuFd.Bench.Yardsticks;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Bench.Sections;

// From the start of a process to the answer to its first ioctl, or to the first hop of a process that has a silo of Orleans and nothing of ours.

/// <summary>The start of silos.</summary>
internal static class StartSection
{
    private const string Section = "start";
    private const string Server = "a server, to the first ioctl over its socket";
    private const string Embedded = "a program with a silo in its process, to its first ioctl";
    private const string Bare = "a program with Orleans alone, to its first hop";
    private const string Answered = "answered";

    private static readonly ObjectId Missing = new(1_000_000_000);

    /// <summary>The program whose start is measured: it makes one call, says so and ends.</summary>
    /// <param name="args">Its arguments.</param>
    public static async Task<int> RunProgramAsync(string[] args)
    {
        if (args is [_, nameof(Embedded)])
        {
            using var silo = await SiloHost.StartInProcessAsync();
            await CallAsync(new IommufdClient(silo.Services.GetRequiredService<IGrainFactory>()));
            Console.WriteLine(Answered);
            await silo.StopAsync();
        }
        else
        {
            var builder = Host.CreateEmptyApplicationBuilder(null);
            builder.UseOrleans(static orleans => orleans.UseLocalhostClustering(Ports.Free(), gatewayPort: 0));
            using var silo = builder.Build();
            await silo.StartAsync();
            await silo.Services.GetRequiredService<IGrainFactory>().GetGrain<IPingGrain>(0).PingAsync(new YardstickRequest { Argument = new byte[8] });
            Console.WriteLine(Answered);
            await silo.StopAsync();
        }

        return 0;
    }

    public static async Task RunAsync(BenchRun run)
    {
        string[] names = [Server, Embedded];
        if (!Array.Exists(names, name => run.Options.Selects(Section, name)))
        {
            return;
        }

        List<double> bare = [], embedded = [], server = [];
        for (var i = 0; i <= run.Options.Repetitions; i++)
        {
            bare.Add(await StartProgramAsync(nameof(Bare)));
            embedded.Add(await StartProgramAsync(nameof(Embedded)));
            server.Add(await StartServerAsync());
        }

        Add(Server, server);
        Add(Embedded, embedded);

        // The first has what it reads from the disk.
        void Add(string name, List<double> times) => run.Add(new Row
        {
            Section = Section,
            Name = name,
            Unit = "ms",
            Value = Spread.Of(times.Skip(1)),
            Yardstick = Bare,
            YardstickValue = Spread.Of(bare.Skip(1)),
            Ratio = Spread.Of(times.Zip(bare, (time, reference) => time / reference).Skip(1)),
        });
    }

    private static async Task<double> StartProgramAsync(string which)
    {
        var start = Stopwatch.GetTimestamp();
        await using var program = ChildProcess.Start("IommuFd.Bench.dll", "start-program", which);
        await program.WaitForLineAsync(Answered);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    // As make run starts it: volatile contexts here, since the journal's disk is another section's.
    private static async Task<double> StartServerAsync()
    {
        var folder = Directory.CreateTempSubdirectory("iommufd-bench-");
        try
        {
            var socket = Path.Combine(folder.FullName, "socket");
            var start = Stopwatch.GetTimestamp();
            await using var silo = ChildProcess.Start(
                "iommufd-silo.dll", $"--Silo:SiloPort={Ports.Free()}", "--Silo:GatewayPort=0", "--Journal:Store=none", $"--Gateway:Path={socket}");
            await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
            await CallAsync(new IommufdClient(socket));
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task CallAsync(IommufdClient client)
    {
        await using var context = await client.OpenAsync("bench");
        if ((await context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = Missing.Value })).Errno != Errno.ENOENT)
        {
            throw new InvalidOperationException("DESTROY of a missing id is not ENOENT.");
        }
    }
}
