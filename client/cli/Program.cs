using System.CommandLine;
using IommuFd.Cli;
using IommuFd.Client;

var root = new RootCommand("iommufd: drives IommuFd.Actors, Linux's /dev/iommu as Orleans grains.")
{
    DemoCommand.Create(),
    ConformanceCommand.Create(),
    InspectCommand.Create(),
    GraphCommand.Create(),
    WhyCommand.Create(),
    TailCommand.Create(),
    TopCommand.Create(),
};

try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception exception) when (exception is IommufdException or IommufdTransportException or CliException)
{
    Console.Error.WriteLine($"iommufd: {exception.Message}");
    return 2;
}
catch (OperationCanceledException)
{
    return 130;
}
