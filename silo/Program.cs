using System.ComponentModel.DataAnnotations;
using IommuFd.Silo;
using Microsoft.Extensions.Hosting;

try
{
    var (host, settings) = SiloHost.Build(args);
    using (host)
    {
        await host.StartAsync();
        Console.WriteLine($"""
            IommuFd.Actors silo is up.
              silos    {settings.Address}:{settings.SiloPort}
              clients  {settings.Address}:{settings.GatewayPort}   cluster '{settings.ClusterId}', service '{settings.ServiceId}'
              contexts are volatile: they live in this process and end with it
            Reach it:
              iommufd demo --gateway {settings.Address}:{settings.GatewayPort}
              .NET: new ClientBuilder with UseStaticClustering(new IPEndPoint({settings.Address}, {settings.GatewayPort})), see README.md
            Ctrl-C drains and stops it.
            """);
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
