using System.ComponentModel.DataAnnotations;
using IommuFd.Silo;
using IommuFd.Silo.Clustering;
using Microsoft.Extensions.Hosting;

try
{
    var (host, settings) = SiloHost.Build(args);
    using (host)
    {
        await host.StartAsync();
        Console.WriteLine(Banner.Of(settings));
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
catch (ClusteringException exception)
{
    Console.Error.WriteLine($"iommufd-silo: {exception.Message}");
    return 1;
}
