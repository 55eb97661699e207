using IommuFd.Client;
using IommuFd.Grains.Configuration;
using IommuFd.Silo;
using IommuFd.Silo.Dashboard;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.BrowserTests;

/// <summary>A silo in this process, with a dashboard on a free port of loopback, and programs that use it.</summary>
public sealed class DashboardSilo : IAsyncDisposable
{
    public const string ViewerToken = "viewer-token-of-the-tests", OperatorToken = "operator-token-of-the-tests";

    private DashboardSilo(IHost host)
    {
        Host = host;

        // Where it listens on every address, it is asked on loopback.
        Address = new UriBuilder(host.Services.GetRequiredService<DashboardServer>().Address) { Host = "127.0.0.1" }.Uri;
        Grains = host.Services.GetRequiredService<IGrainFactory>();
        Client = new IommufdClient(Grains, new IommufdClientOptions { Name = "vmm" });
    }

    public IHost Host { get; }

    public Uri Address { get; }

    public IGrainFactory Grains { get; }

    public IommufdClient Client { get; }

    public static async Task<DashboardSilo> StartAsync(DashboardSettings? settings = null, ContextOptions? contexts = null, Action<ISiloBuilder>? configure = null, GatewaySettings? gateway = null)
    {
        settings ??= new DashboardSettings();
        settings.Port = 0;
        return new DashboardSilo(await SiloHost.StartInProcessAsync(
            silo =>
            {
                silo.ConfigureLogging(HandleWatch.Shared.AddTo);
                configure?.Invoke(silo);
            },
            contexts,
            dashboard: settings,
            gateway: gateway));
    }

    /// <summary>Asks for a page as a script would, without following to anywhere else.</summary>
    public HttpClient Http(string? bearer = null)
    {
        var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = true }) { BaseAddress = Address };
        if (bearer is not null)
        {
            http.DefaultRequestHeaders.Authorization = new("Bearer", bearer);
        }

        return http;
    }

    public string Url(string path) => new Uri(Address, path).ToString();

    public string Url(IommuContext context, string path = "") => Url($"/contexts/{context.Handle.Key.Tag}{path}");

    public async ValueTask DisposeAsync()
    {
        Client.Stop();
        await Host.StopAsync();
        if (Host is IAsyncDisposable host)
        {
            await host.DisposeAsync();
        }

        HandleWatch.Shared.ExpectNone();
    }
}
