using System.ComponentModel.DataAnnotations;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Silo;
using IommuFd.Silo.Clustering;
using IommuFd.Silo.Dashboard;
using IommuFd.Silo.Dashboard.Health;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

try
{
    if (args.Contains(HealthCommand.Argument))
    {
        return await HealthCommand.RunAsync(SiloHost.ReadDashboard([.. args.Where(argument => argument != HealthCommand.Argument)]));
    }

    var (host, settings) = SiloHost.Build(args);
    using (host)
    {
        await host.StartAsync();
        Console.WriteLine(Banner.Of(settings, host.Services.GetRequiredService<IOptions<ContextOptions>>().Value, host.Services.GetService<IJournalStore>(), host.Services.GetService<DashboardSettings>(), host.Services.GetService<GatewaySettings>()));
        await host.WaitForShutdownAsync();
        Console.WriteLine("IommuFd.Actors silo stopped.");
    }

    return 0;
}
catch (ValidationException exception)
{
    Console.Error.WriteLine($"iommufd-silo: {exception.Message}");
    return 2;
}
catch (Exception exception) when (exception is ClusteringException or JournalStoreException)
{
    Console.Error.WriteLine($"iommufd-silo: {exception.Message}");
    return 1;
}
