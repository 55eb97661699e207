using System.Net;
using IommuFd.Grains.Monitoring;
using IommuFd.Silo.Dashboard.Access;
using IommuFd.Silo.Dashboard.Components;
using IommuFd.Silo.Dashboard.Feed;
using IommuFd.Silo.Dashboard.Health;
using IommuFd.Silo.Security;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Dashboard;

// A separate web server inside the silo's process. It has its own container, so that the silo gets none of a web application's services, and it
// ignores the environment's settings for web servers, so that only the section Dashboard says where it listens. It tells the silo's health before
// the silo starts and until it has stopped. Its pages are there only while grains can be called.

/// <summary>The silo's web server.</summary>
internal sealed class DashboardServer(IServiceProvider silo, DashboardSettings settings) : IHostedLifecycleService, IAsyncDisposable
{
    private static readonly TimeSpan SessionTime = TimeSpan.FromHours(12);

    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(2);

    private WebApplication? _application;
    private DashboardFeed? _feed;

    /// <summary>Adds the dashboard to a silo's host.</summary>
    public static void AddTo(HostApplicationBuilder builder, DashboardSettings? settings)
    {
        if (settings is not { Enabled: true })
        {
            return;
        }

        builder.UseOrleans(orleans => OrleansMount.AddToSilo(orleans, settings));
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton<DashboardServer>();
        builder.Services.AddHostedService(services => services.GetRequiredService<DashboardServer>());

        // It would log each failed check as an error, and each answer asks for some. Stores and the silo tell their outages themselves.
        builder.Logging.AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None);
    }

    /// <summary>The address that it listens on, once started.</summary>
    public Uri Address => new(_application!.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());

    /// <summary>All its endpoints.</summary>
    public IReadOnlyList<Endpoint> Endpoints => _application!.Services.GetRequiredService<EndpointDataSource>().Endpoints;

    /// <summary>The feed that all viewers of the overview share.</summary>
    public DashboardFeed Feed => _feed!;

    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        _application = Build();
        _feed = _application.Services.GetRequiredService<DashboardFeed>();
        await _application.StartAsync(cancellationToken);
        settings.Port = Address.Port;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        _feed?.Dispose();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => _application?.StopAsync(cancellationToken) ?? Task.CompletedTask;

    public ValueTask DisposeAsync() => _application?.DisposeAsync() ?? ValueTask.CompletedTask;

    private WebApplication Build()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory, EnvironmentName = Environments.Production });
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(IPAddress.Parse(settings.Address), settings.Port, listen =>
            {
                if (settings.IsSecure)
                {
                    listen.UseHttps(Certificates.Load(settings.CertificatePath!, settings.KeyPath, password: null));
                }
            });
        });
        var services = builder.Services;

        // Services of the silo.
        services.AddSingleton(silo.GetRequiredService<ILoggerFactory>());
        services.AddSingleton(silo.GetRequiredService<IGrainFactory>());
        services.AddSingleton(silo.GetRequiredService<IContextFinder>());
        services.AddSingleton(silo.GetService<TimeProvider>() ?? TimeProvider.System);
        services.AddSingleton(settings);
        OrleansMount.AddToServer(services, builder.Configuration, settings);
        HealthEndpoints.AddTo(services, silo);

        services.AddSingleton<DashboardAccess>();
        services.AddSingleton<RequestGuard>();
        services.AddSingleton(new OpeningHours(silo.GetRequiredService<IHostApplicationLifetime>()));
        services.AddSingleton<Assets>();
        services.AddSingleton<DashboardFeed>();
        services.AddSingleton<Operations>();
        services.AddRoutingCore();
        services.AddDataProtection().UseEphemeralDataProtectionProvider();
        services.AddAntiforgery(antiforgery => antiforgery.Cookie = Cookie($"iommufd-forms-{settings.Port}"));
        services.AddAuthentication(DashboardAccess.Scheme).AddCookie(DashboardAccess.Scheme, cookie =>
        {
            // Cookies ignore ports, so each silo on a machine has its own cookie name.
            cookie.Cookie = Cookie($"iommufd-dashboard-{settings.Port}");
            cookie.ExpireTimeSpan = SessionTime;
            cookie.LoginPath = cookie.AccessDeniedPath = SignIn.Path;
            cookie.Events.OnRedirectToLogin = cookie.Events.OnRedirectToAccessDenied = SignIn.ChallengeAsync;
        });
        services.AddAuthorizationBuilder()
            .SetFallbackPolicy(new AuthorizationPolicyBuilder().RequireRole(DashboardAccess.Viewer).Build())
            .SetDefaultPolicy(new AuthorizationPolicyBuilder().RequireRole(DashboardAccess.Viewer).Build())
            .AddPolicy(DashboardAccess.Operator, policy => policy.RequireRole(DashboardAccess.Operator));
        services.AddCascadingAuthenticationState();
        services.AddRazorComponents().AddInteractiveServerComponents(circuits => circuits.DisconnectedCircuitMaxRetained = 20);
        services.Configure<HostOptions>(host => host.ShutdownTimeout = StopTimeout);

        var application = builder.Build();
        var guard = application.Services.GetRequiredService<RequestGuard>();
        application.Use(next => context => guard.InvokeAsync(context, next));
        application.Use(application.Services.GetRequiredService<OpeningHours>().InvokeAsync);
        application.UseRouting();
        application.UseAuthentication();
        application.Use(SignIn.RecogniseAsync);
        application.UseAuthorization();
        application.UseAntiforgery();
        application.Services.GetRequiredService<Assets>().Map(application);
        HealthEndpoints.Map(application);
        SignIn.Map(application);
        Operations.Map(application);
        OrleansMount.Map(application, settings);
        application.MapRazorComponents<App>().AddInteractiveServerRenderMode(server => server.ContentSecurityFrameAncestorsPolicy = null);
        return application;
    }

    private CookieBuilder Cookie(string name) => new()
    {
        Name = name,
        HttpOnly = true,
        SameSite = SameSiteMode.Strict,
        SecurePolicy = settings.IsSecure ? CookieSecurePolicy.Always : CookieSecurePolicy.SameAsRequest,
        IsEssential = true,
    };
}
