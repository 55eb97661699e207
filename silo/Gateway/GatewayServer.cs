using System.Security.Cryptography;
using IommuFd.GrainInterfaces.Security;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Grains.Monitoring;
using IommuFd.Silo.Gateway.Descriptors;
using IommuFd.Silo.Gateway.Devices;
using IommuFd.Silo.Gateway.Programs;
using IommuFd.Silo.Gateway.Remote;
using IommuFd.Silo.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway;

// Kestrel accepts connections and moves their bytes; nothing here is HTTP. Like the dashboard it has a container of its own.

/// <summary>The silo's door for programs of this machine (docs/protocol.md). <see cref="RemoteServer"/> is that for others.</summary>
internal sealed class GatewayServer(IServiceProvider silo, GatewaySettings settings, GatewaySocket socket, GatewayContexts contexts, GatewayDevices devices, CallsService calls, ILogger<GatewayServer> logger)
    : IHostedService, IAsyncDisposable
{
    private readonly LogBudget _endings = new(TimeProvider.System);
    private WebApplication? _application;
    private DescriptorListener? _descriptors;

    /// <summary>Adds the gateway to a silo's host.</summary>
    /// <param name="builder">The host.</param>
    /// <param name="settings">Validated settings.</param>
    /// <param name="secret">The silo's secret, or null.</param>
    public static void AddTo(HostApplicationBuilder builder, GatewaySettings settings, byte[]? secret)
    {
        if (!settings.IsOn)
        {
            return;
        }

        secret = string.IsNullOrEmpty(settings.SecretPath) ? secret ?? RandomNumberGenerator.GetBytes(SecretFile.Length) : SecretFile.ReadOrCreate(Path.GetFullPath(settings.SecretPath));
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton(new HandleSeal(secret));
        builder.Services.AddSingleton<DescriptorHolders>();
        builder.Services.AddSingleton<IProgramDirectory>(services => services.GetRequiredService<DescriptorHolders>());
        builder.Services.AddSingleton<GatewayContexts>();
        builder.Services.AddTransient<CallsService>();
        if (settings.HasSocket)
        {
            settings.Path = Path.GetFullPath(settings.Path!);
            var socket = GatewaySocket.Claim(settings.Path);
            builder.Services.AddSingleton(_ => socket);
            builder.Services.AddSingleton<GatewayServer>();
            builder.Services.AddHostedService(services => services.GetRequiredService<GatewayServer>());
        }

        // Behind the claim of the socket, beside which its files are.
        var devices = new GatewayDevices(settings);
        builder.Services.AddSingleton(_ => devices);
        if (settings.HasPort)
        {
            RemoteServer.AddTo(builder, settings);
        }
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (var device in devices.All)
        {
            device.Function.Loop.Failed += exception => logger.DeviceFailed(exception, device.Address.ToString());
        }

        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory, EnvironmentName = Environments.Production });
        builder.Services.AddSingleton(silo.GetRequiredService<ILoggerFactory>());
        builder.WebHost.UseKestrelCore()
            .UseSockets(sockets =>
            {
                sockets.CreateBoundListenSocket = _ => socket.Bind();
                sockets.UnsafePreferInlineScheduling = true;
            })
            .ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(settings.Path!, listen => listen.Run(ServeAsync)));
        _application = builder.Build();
        _descriptors = new DescriptorListener(contexts, socket.BindDescriptors(), calls.Welcome([]), logger);
        return _application.StartAsync(cancellationToken);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        _descriptors?.Stop();
        await calls.StopAsync();
        if (_application is not null)
        {
            // The connections of programs end with the silo, and not before: there is nothing to wait for.
            await _application.StopAsync(new CancellationToken(canceled: true));
        }
    }

    public async ValueTask DisposeAsync()
    {
        _descriptors?.Dispose();
        if (_application is not null)
        {
            await _application.DisposeAsync();
        }
    }

    private async Task ServeAsync(ConnectionContext connection)
    {
        var program = connection.Features.Get<IConnectionSocketFeature>()!.Socket;
        GatewayPeer peer;
        try
        {
            peer = GatewayPeer.Of(program);
        }
        catch (ObjectDisposedException)
        {
            // A program that only asked whether a silo answers has gone already.
            return;
        }

        var output = calls.Open(connection, FrameOutput.To(program));
        var input = new FrameInput(connection.Transport.Input);
        try
        {
            contexts.Connections.Enter(peer.Identity);
            await ServeAsync(peer, input, output);
        }
        catch (FrameException exception)
        {
            if (_endings.TryTake(out var others))
            {
                logger.ConnectionEnded(peer.Identity, peer.Process, exception.Message, others);
            }

            await output.ByeAsync(input.Tag, exception.Reason, exception.Message);
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException)
        {
            // The program has gone.
        }
        finally
        {
            calls.Close(output);
            contexts.Connections.Leave(peer.Identity);
        }
    }

    private async Task ServeAsync(GatewayPeer peer, FrameInput input, FrameOutput output)
    {
        if (await calls.GreetAsync(input) is not { } hello)
        {
            return;
        }

        if (hello.Role != ConnectionRole.Calls)
        {
            throw FrameException.Malformed($"descriptors connect to the path with '{GatewaySocket.DescriptorSuffix}'");
        }

        await calls.RunAsync(peer.For(hello.Process), hello, input, output);
    }
}
