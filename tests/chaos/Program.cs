using System.CommandLine;
using System.Globalization;
using IommuFd.Chaos.Clients;
using IommuFd.Chaos.Faults;
using IommuFd.Chaos.Run;
using IommuFd.Grains.Journaling;
using IommuFd.Linearizability;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

// A deliberately broken silo takes a silo's settings, which are not options.
if (args is ["broken-silo", .. var settings])
{
    using var host = SiloHost.Build(settings, silo => silo.Services.AddSingleton<IJournal>(services => new UnfencedJournal(services.GetRequiredService<GroupCommitJournal>()))).Host;
    await host.StartAsync();
    Console.WriteLine("broken silo is up. Ctrl-C drains and stops it.");
    await host.WaitForShutdownAsync();
    return 0;
}

var root = new RootCommand("Runs a cluster whose silos are killed and paused, and checks what its clients observed.") { Run(), Check(), Client(), Hostile() };

// The default handler of exceptions says nothing of one that says that something was cancelled, such as a call.
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });

static Command Run()
{
    var minutes = new Option<double>("--minutes") { Description = "How long faults are injected.", DefaultValueFactory = _ => 5 };
    var seed = new Option<int>("--seed") { Description = "Seed of all random choices.", DefaultValueFactory = _ => Random.Shared.Next(1_000_000) };
    var broken = new Option<bool>("--broken") { Description = "Lets stale activations answer, to test that this is noticed." };
    var faults = new Option<FaultKind[]>("--faults") { Description = "The faults that are injected; one that is named twice, twice as often. All by default.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => FaultInjector.Usual };
    var away = new Option<int>("--away") { Description = "How many silos are away at once, at most.", DefaultValueFactory = _ => 2 };
    var alone = new Option<bool>("--alone") { Description = "Leaves out the second cluster on the same journals, and the hostile client." };
    var keep = new Option<bool>("--keep") { Description = "Keeps the histories and what the silos printed, also without a violation." };
    var command = new Command("run", "Runs it. Exit status 1: there were violations.") { minutes, seed, broken, faults, away, alone, keep };
    command.SetAction(async options =>
    {
        var report = await ChaosRun.RunAsync(
            new ChaosOptions
            {
                Duration = TimeSpan.FromMinutes(options.GetValue(minutes)),
                Seed = options.GetValue(seed),
                Broken = options.GetValue(broken),
                Faults = options.GetValue(faults)!,
                MostAway = options.GetValue(away),
                Keep = options.GetValue(keep),
                Programs = true,
                OtherCluster = !options.GetValue(alone),
                Hostile = !options.GetValue(alone),
                Lease = TimeSpan.FromMinutes(1),
            },
            Console.WriteLine);
        Console.WriteLine(report);
        return report.Violations.Count == 0 ? 0 : 1;
    });
    return command;
}

static Command Check()
{
    var files = new Argument<string[]>("FILE") { Arity = ArgumentArity.OneOrMore, Description = "History files of one context, one per client process." };
    var command = new Command("check", "Checks a recorded history.") { files };
    command.SetAction(options =>
    {
        var result = new LinearizabilityChecker<ContextState>(new ContextSpecification()).Check(History.Read(options.GetValue(files)!));
        Console.Write(LinearizabilityReport.Write(result));
        return result.Verdict == Verdict.Linearizable ? 0 : 1;
    });
    return command;
}

static Command Client()
{
    var database = new Argument<string>("DATABASE");
    var number = new Argument<int>("NUMBER");
    var workers = new Argument<int>("WORKERS");
    var cluster = new Argument<string>("CLUSTER");
    var command = new Command("client", "A client process, as started by a run.") { database, number, workers, cluster };
    command.Hidden = true;
    command.SetAction(async options =>
    {
        await ClientProcess.RunAsync(options.GetValue(database)!, options.GetValue(number), options.GetValue(workers), options.GetValue(cluster)!);
        return 0;
    });
    return command;
}

static Command Hostile()
{
    var seed = new Argument<int>("SEED");
    var paths = new Argument<string>("PATHS");
    var ports = new Argument<string>("PORTS");
    var command = new Command("hostile", "A hostile client, as started by a run.") { seed, paths, ports };
    command.Hidden = true;
    command.SetAction(async options =>
    {
        await HostileClient.RunAsync(
            options.GetValue(seed), options.GetValue(paths)!.Split(','), [.. options.GetValue(ports)!.Split(',').Select(port => int.Parse(port, CultureInfo.InvariantCulture))]);
        return 0;
    });
    return command;
}
