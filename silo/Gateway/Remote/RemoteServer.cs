using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Silo.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway.Remote;

// Kestrel's TLS stands before all that is here. A certificate that is not trusted does not end the handshake, since TLS has no words for why: the client hears it in BYE. Until
// a client has proved who it is, it costs a connection of the few that may be unproved, and 4 KiB of HELLO.

/// <summary>The silo's door for clients by TCP: other machines, and those of this one whose user the kernel can't tell.</summary>
internal sealed class RemoteServer(IServiceProvider silo, GatewaySettings settings, RemoteProofs proofs, GatewayContexts contexts, CallsService calls, ILogger<RemoteServer> logger)
    : IHostedService, IAsyncDisposable
{
    private const int MaxUnproved = 64;

    // A client whose machine is gone is found out within three minutes.
    private const int KeepAliveSeconds = 60, KeepAliveProbeSeconds = 20, KeepAliveProbes = 6;

    private readonly UnprovedConnections _unproved = new(MaxUnproved);
    private readonly RefusalLog _refusals = new(logger, TimeProvider.System);
    private readonly FailedAttempts _failed = new(settings.Attempts, TimeProvider.System);
    private WebApplication? _application;

    /// <summary>Adds it to a silo's host.</summary>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">A certificate can't be used.</exception>
    public static void AddTo(HostApplicationBuilder builder, GatewaySettings settings)
    {
        var proofs = new RemoteProofs(settings);
        builder.Services.AddSingleton(proofs);
        builder.Services.AddSingleton<RemoteServer>();
        builder.Services.AddHostedService(services => services.GetRequiredService<RemoteServer>());
    }

    /// <summary>How many clients it has refused.</summary>
    public long Refusals => _refusals.Count;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory, EnvironmentName = Environments.Production });
        builder.Services.AddSingleton(silo.GetRequiredService<ILoggerFactory>());
        builder.WebHost.UseKestrelCore()
            .UseKestrelHttpsConfiguration()
            .UseSockets(sockets => sockets.CreateBoundListenSocket = Bind)
            .ConfigureKestrel(kestrel => kestrel.Listen(settings.Endpoint, Configure));
        _application = builder.Build();
        return _application.StartAsync(cancellationToken);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await calls.StopAsync();
        if (_application is not null)
        {
            await _application.StopAsync(new CancellationToken(canceled: true));
        }
    }

    public ValueTask DisposeAsync() => _application?.DisposeAsync() ?? ValueTask.CompletedTask;

    // Linux's sockets inherit this from the one that listens.
    private static Socket Bind(EndPoint endpoint)
    {
        var socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveProbeSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAliveProbes);
        return socket;
    }

    private void Configure(ListenOptions listen)
    {
        listen.Use(next => connection => EnterAsync(connection, next));
        if (proofs.ServerCertificate is { } certificate)
        {
            listen.UseHttps(new TlsHandshakeCallbackOptions { HandshakeTimeout = settings.HelloPatience, OnConnection = handshake => ValueTask.FromResult(OptionsOf(handshake.Connection, certificate)) });
        }

        listen.Run(ServeAsync);
    }

    private SslServerAuthenticationOptions OptionsOf(ConnectionContext connection, SslStreamCertificateContext certificate) => new()
    {
        ServerCertificateContext = certificate,
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        AllowRenegotiation = false,
        ClientCertificateRequired = proofs.AsksForCertificates,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = (_, shown, chain, _) => proofs.Judge(connection, shown, chain),
    };

    private async Task EnterAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (_unproved.Add(connection) is { } oldest)
        {
            _refusals.Add(AddressOf(oldest), null, "made room for a newer one, before it had proved who it is");
            oldest.Abort();
        }

        try
        {
            await next(connection);
        }
        finally
        {
            _unproved.Remove(connection);
        }
    }

    private async Task ServeAsync(ConnectionContext connection)
    {
        var output = calls.Open(connection, SendOf(connection));
        var input = new FrameInput(connection.Transport.Input);
        string? identity = null;
        try
        {
            if (await calls.GreetAsync(input) is not { } hello)
            {
                return;
            }

            identity = Identify(connection, hello);
            _unproved.Remove(connection);
            await ServeAsync(new GatewayPeer(identity, User: null, Process: 0), hello, input, output);
        }
        catch (FrameException exception)
        {
            _refusals.Add(AddressOf(connection), identity, exception.Message);
            await output.ByeAsync(input.Tag, exception.Reason, exception.Message);
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException)
        {
            // The client has gone.
        }
        finally
        {
            calls.Close(output);
        }
    }

    private async Task ServeAsync(GatewayPeer peer, Hello hello, FrameInput input, FrameOutput output)
    {
        if (hello.Role != ConnectionRole.Calls)
        {
            throw new FrameException(ByeReason.NotPermitted, "a descriptor is a file of this machine: it needs the gateway's Unix socket");
        }

        if (hello.Process != 0)
        {
            throw new FrameException(ByeReason.NotPermitted, "a client by TCP has no process on this machine: HELLO's process must be 0");
        }

        try
        {
            contexts.Connections.Enter(peer.Identity);
            await calls.RunAsync(peer, hello, input, output);
        }
        finally
        {
            contexts.Connections.Leave(peer.Identity);
        }
    }

    private string Identify(ConnectionContext connection, Hello hello)
    {
        var from = AddressOf(connection);
        if (_failed.Wait(from) is var wait && wait > TimeSpan.Zero)
        {
            throw new FrameException(ByeReason.Limit, $"too many wrong proofs came from {from}: wait {Math.Ceiling(wait.TotalSeconds)} s");
        }

        var (identity, problem) = proofs.Check(connection, hello);
        if (identity is null)
        {
            _failed.Add(from);
            throw new FrameException(ByeReason.NotPermitted, problem!);
        }

        return identity;
    }

    private static Func<ReadOnlyMemory<byte>, ValueTask<int>> SendOf(ConnectionContext connection)
        => connection.Features.Get<ITlsHandshakeFeature>() is null
            ? FrameOutput.To(connection.Features.Get<IConnectionSocketFeature>()!.Socket)
            : FrameOutput.To(connection.Transport.Output.AsStream());

    private static IPAddress AddressOf(ConnectionContext connection) => ((IPEndPoint)connection.RemoteEndPoint!).Address;
}
