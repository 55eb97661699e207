using System.CommandLine;
using IommuFd.Cli;
using IommuFd.Cli.Faults;
using IommuFd.Cli.Running;
using IommuFd.Client;

// A program that is run waits for its start: what is not needed for it is not loaded. Its signals are its own.
var isRun = args is ["run" or Launcher.HandedOver, ..];
if (args is ["run", ..])
{
    Launcher.Become(args[1..]);
}

var root = new RootCommand("iommufd: drives IommuFd.Actors, Linux's /dev/iommu as Orleans grains.") { RunCommand.Create() };
if (!isRun)
{
    AddOtherCommands(root);
}

var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false };
if (isRun)
{
    configuration.ProcessTerminationTimeout = null;
}

try
{
    return await root.Parse(isRun ? ["run", .. args[1..]] : args).InvokeAsync(configuration);
}
catch (Exception exception) when (exception is IommufdException or IommufdTransportException or CliException)
{
    Terminal.Error($"iommufd: {exception.Message}");
    return 2;
}
catch (OperationCanceledException)
{
    return 130;
}

static void AddOtherCommands(Command root)
{
    root.Subcommands.Add(DemoCommand.Create());
    root.Subcommands.Add(ConformanceCommand.Create());
    root.Subcommands.Add(InspectCommand.Create());
    root.Subcommands.Add(GraphCommand.Create());
    root.Subcommands.Add(WhyCommand.Create());
    root.Subcommands.Add(TailCommand.Create());
    root.Subcommands.Add(FaultsCommand.Create());
    root.Subcommands.Add(TopCommand.Create());
}
