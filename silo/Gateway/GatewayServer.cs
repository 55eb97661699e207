using System.Collections.Concurrent;
using System.Security.Cryptography;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Grains.Monitoring;
using IommuFd.Silo.Gateway.Descriptors;
using IommuFd.Silo.Gateway.Recording;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway;

// Kestrel accepts connections and moves their bytes; nothing here is HTTP. Like the dashboard it has a container of its own.

/// <summary>The silo's door for programs outside .NET (docs/protocol.md).</summary>
internal sealed class GatewayServer(IServiceProvider silo, GatewaySettings settings, GatewaySocket socket, HandleSeal seal) : IHostedService, IAsyncDisposable
{
    private readonly GatewayContexts _contexts = new(
        silo.GetRequiredService<IGrainFactory>(), settings, seal, silo.GetRequiredService<DescriptorHolders>(), silo.GetService<ProgramRecording>(), silo.GetRequiredService<ILogger<GatewayContexts>>());
    private readonly ILogger _logger = silo.GetRequiredService<ILogger<GatewayServer>>();
    private readonly ConcurrentDictionary<FrameOutput, byte> _outputs = new();
    private readonly ulong _instance = BitConverter.ToUInt64(ContextHandle.NewRandom().Value.ToByteArray());
    private WebApplication? _application;
    private DescriptorListener? _descriptors;

    /// <summary>Adds the gateway to a silo's host.</summary>
    public static void AddTo(HostApplicationBuilder builder, GatewaySettings settings, byte[]? secret)
    {
        if (!settings.IsOn)
        {
            return;
        }

        SettingsValidation.Validate(settings, GatewaySettings.Section);
        settings.Path = Path.GetFullPath(settings.Path!);
        var socket = GatewaySocket.Claim(settings.Path);
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton(_ => socket);
        builder.Services.AddSingleton(new HandleSeal(secret ?? RandomNumberGenerator.GetBytes(32)));
        builder.Services.AddSingleton<DescriptorHolders>();
        builder.Services.AddSingleton<IProgramDirectory>(services => services.GetRequiredService<DescriptorHolders>());
        builder.Services.AddSingleton<GatewayServer>();
        builder.Services.AddHostedService(services => services.GetRequiredService<GatewayServer>());
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
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
        _descriptors = new DescriptorListener(_contexts, socket.BindDescriptors(), Welcome([]), _logger);
        return _application.StartAsync(cancellationToken);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        _descriptors?.Stop();
        await Task.WhenAll(_outputs.Keys.Select(output => output.ByeAsync(0, ByeReason.Stopping, "the silo stops")));
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

        var output = new FrameOutput(program, why => connection.Abort(new ConnectionAbortedException(why)), settings.ReadPatience);
        var input = new FrameInput(connection.Transport.Input);
        _outputs.TryAdd(output, 0);
        try
        {
            _contexts.Connections.Enter(peer.Identity);
            await ServeAsync(connection, peer, input, output);
        }
        catch (FrameException exception)
        {
            _logger.ConnectionEnded(peer.Identity, peer.Process, exception.Message);
            await output.ByeAsync(input.Tag, exception.Reason, exception.Message);
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException)
        {
            // The program has gone.
        }
        finally
        {
            output.Close();
            _outputs.TryRemove(output, out _);
            _contexts.Connections.Leave(peer.Identity);
        }
    }

    private async Task ServeAsync(ConnectionContext connection, GatewayPeer peer, FrameInput input, FrameOutput output)
    {
        Hello? hello = null;
        using (var patience = new CancellationTokenSource(settings.HelloPatience))
        {
            try
            {
                if (!await input.ReadAsync(frame => hello = frame.Kind == FrameKind.Hello ? Hello.Read(frame.Body) : throw FrameException.Malformed("the first frame is not HELLO"), 1, patience.Token))
                {
                    return;
                }
            }
            catch (OperationCanceledException) when (patience.IsCancellationRequested)
            {
                throw FrameException.Malformed($"no HELLO within {settings.HelloPatience.TotalSeconds} s");
            }
        }

        hello!.Check();
        if (hello.Role != ConnectionRole.Calls)
        {
            throw FrameException.Malformed($"descriptors connect to the path with '{GatewaySocket.DescriptorSuffix}'");
        }

        var welcome = Welcome(CommandTable.Bytes);
        output.Send((welcome, input.Tag), static (writer, greeting) => greeting.welcome.Write(writer, greeting.Tag));
        input.MaxBody = MaxBody;
        await new CallsConnection(_contexts, output, peer.For(hello.Process), hello).RunAsync(input);
    }

    /// <summary>Bytes of a body: a batch of ioctls with some large buffers.</summary>
    private const int MaxBody = 16 << 20;

    private Welcome Welcome(byte[] table) => new(MaxBody, (uint)settings.MaxUnderWay, _instance, table);
}
