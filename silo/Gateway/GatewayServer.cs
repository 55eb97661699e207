using System.Collections.Concurrent;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Uapi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway;

// Kestrel accepts connections and moves their bytes; nothing here is HTTP. Like the dashboard it has a container of its own.

/// <summary>The silo's door for programs outside .NET (docs/protocol.md).</summary>
internal sealed class GatewayServer(IServiceProvider silo, GatewaySettings settings, GatewaySocket socket) : IHostedService, IAsyncDisposable
{
    private static readonly TimeSpan HelloPatience = TimeSpan.FromSeconds(5);

    private readonly GatewayContexts _contexts = new(silo.GetRequiredService<IGrainFactory>(), settings, silo.GetRequiredService<ILogger<GatewayContexts>>());
    private readonly ILogger _logger = silo.GetRequiredService<ILogger<GatewayServer>>();
    private readonly ConcurrentDictionary<string, int> _connections = new();
    private readonly ConcurrentDictionary<FrameOutput, byte> _outputs = new();
    private readonly ulong _instance = BitConverter.ToUInt64(ContextHandle.NewRandom().Value.ToByteArray());
    private WebApplication? _application;
    private volatile bool _isStopping;

    /// <summary>Adds the gateway to a silo's host.</summary>
    public static void AddTo(HostApplicationBuilder builder, GatewaySettings settings)
    {
        if (!settings.IsOn)
        {
            return;
        }

        SettingsValidation.Validate(settings, GatewaySettings.Section);
        settings.Path = Path.GetFullPath(settings.Path!);
        var socket = GatewaySocket.Claim(settings.Path);
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton(socket);
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
        return _application.StartAsync(cancellationToken);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        _isStopping = true;
        await Task.WhenAll(_outputs.Keys.Select(output => output.ByeAsync(0, ByeReason.Stopping, "the silo stops")));
        if (_application is not null)
        {
            // The connections of programs end with the silo, and not before: there is nothing to wait for.
            await _application.StopAsync(new CancellationToken(canceled: true));
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_application is not null)
        {
            await _application.DisposeAsync();
        }
    }

    private async Task ServeAsync(ConnectionContext connection)
    {
        var peer = GatewayPeer.Of(connection);
        var output = new FrameOutput(connection);
        var input = new FrameInput(connection.Transport.Input);
        _outputs.TryAdd(output, 0);
        try
        {
            if (_connections.AddOrUpdate(peer.Identity, 1, static (_, count) => count + 1) > settings.MaxConnections)
            {
                throw new FrameException(ByeReason.Limit, $"{peer.Identity} has {settings.MaxConnections} connections, more are not permitted");
            }

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
            _outputs.TryRemove(output, out _);
            _connections.AddOrUpdate(peer.Identity, 0, static (_, count) => count - 1);
        }
    }

    private async Task ServeAsync(ConnectionContext connection, GatewayPeer peer, FrameInput input, FrameOutput output)
    {
        Hello? hello = null;
        using (var patience = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed))
        {
            patience.CancelAfter(HelloPatience);
            try
            {
                if (!await input.ReadAsync(frame => hello = frame.Kind == FrameKind.Hello ? Hello.Read(frame.Body) : throw FrameException.Malformed("the first frame is not HELLO"), 1, patience.Token))
                {
                    return;
                }
            }
            catch (OperationCanceledException) when (!connection.ConnectionClosed.IsCancellationRequested)
            {
                throw FrameException.Malformed($"no HELLO within {HelloPatience.TotalSeconds} s");
            }
        }

        if (hello!.Lowest > Hello.Version || hello.Highest < Hello.Version)
        {
            throw new FrameException(ByeReason.NoCommonVersion, $"the gateway speaks version {Hello.Version}, the client {hello.Lowest} to {hello.Highest}");
        }

        var isCalls = hello.Role == ConnectionRole.Calls;
        var welcome = new Welcome(MaxBody, (uint)settings.MaxUnderWay, _instance, isCalls ? CommandTable.Bytes : []);
        output.Send((welcome, input.Tag), static (writer, greeting) => greeting.welcome.Write(writer, greeting.Tag));
        if (isCalls)
        {
            input.MaxBody = MaxBody;
            await new CallsConnection(_contexts, connection, output, peer, hello).RunAsync(input);
        }
        else
        {
            await ServeDescriptorAsync(connection, peer, hello, input, output);
        }
    }

    /// <summary>Bytes of a body: an ioctl with its largest buffer, or a write.</summary>
    private const int MaxBody = IoctlLimits.MaxBufferBytes * 4;

    private async Task ServeDescriptorAsync(ConnectionContext connection, GatewayPeer peer, Hello hello, FrameInput input, FrameOutput output)
    {
        (FrameKind Kind, uint Tag, ContextMode? Mode, Guid Claim) first = default;
        if (!await input.ReadAsync(frame => first = ReadFirst(frame), 1, connection.ConnectionClosed))
        {
            return;
        }

        var (descriptor, errno, text) = await OpenAsync(connection, peer, hello, first.Kind, first.Mode, first.Claim);
        output.Send((first, descriptor, errno, text), static (writer, answer) =>
        {
            var at = writer.Begin(answer.first.Kind | FrameKind.Answer, answer.first.Tag);
            var words = FrameWriter.Utf8(answer.text, Hello.MaxBody);
            writer.UInt32((uint)answer.errno);
            writer.UInt32((uint)words.Length);
            writer.Name(answer.descriptor?.Ticket ?? default);
            writer.Bytes(words);
            writer.Finish(at);
        });
        if (descriptor is null)
        {
            return;
        }

        try
        {
            _contexts.Add(descriptor);
            while (await input.ReadAsync(frame => Prove(frame, descriptor), int.MaxValue, connection.ConnectionClosed))
            {
            }
        }
        finally
        {
            output.Close();
            if (!_isStopping)
            {
                await _contexts.RemoveAsync(descriptor);
            }
        }
    }

    private static (FrameKind Kind, uint Tag, ContextMode? Mode, Guid Claim) ReadFirst(Frame frame)
    {
        var reader = new FrameReader(frame.Body);
        switch (frame.Kind)
        {
            case FrameKind.Open:
                var mode = reader.Choice(2) switch { 1 => ContextMode.Volatile, 2 => ContextMode.Durable, _ => default(ContextMode?) };
                reader.Reserved(7);
                reader.End();
                return (frame.Kind, frame.Tag, mode, default);
            case FrameKind.Claim:
                var claim = reader.Name();
                reader.End();
                return (frame.Kind, frame.Tag, null, claim);
            default:
                throw FrameException.Malformed($"a descriptor begins with OPEN or CLAIM, not with 0x{(byte)frame.Kind:X2}");
        }
    }

    private void Prove(Frame frame, Descriptor descriptor)
    {
        if (frame.Kind != FrameKind.Prove)
        {
            throw FrameException.Malformed($"a descriptor has no frames of kind 0x{(byte)frame.Kind:X2}");
        }

        var reader = new FrameReader(frame.Body);
        var nonce = reader.Name();
        reader.End();
        _contexts.Prove(nonce, descriptor);
    }

    private async Task<(Descriptor? Descriptor, Errno Errno, string? Text)> OpenAsync(
        ConnectionContext connection, GatewayPeer peer, Hello hello, FrameKind kind, ContextMode? mode, Guid claim)
    {
        if (kind == FrameKind.Claim)
        {
            return _contexts.Take(claim) is var (opened, file)
                ? (new Descriptor(connection, opened, file, peer.Identity), Errno.None, null)
                : (null, Errno.ENOENT, "nothing waits for this claim");
        }

        try
        {
            var opened = await _contexts.OpenAsync(peer, peer.Describe(hello.Name), mode);
            return (new Descriptor(connection, opened, null, peer.Identity), Errno.None, null);
        }
        catch (IommufdException exception)
        {
            return (null, exception.Errno, exception.Message);
        }
        catch (IommufdTransportException exception)
        {
            return (null, Errno.EIO, exception.Message);
        }
    }
}
