using System.Diagnostics;
using System.Net;
using IommuFd.GrainInterfaces.Security;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Connections.Security;

namespace IommuFd.Silo.Security;

// Orleans parses what a connection sends, and there are bytes that end the process there (docs/upstream.md). So a connection gets to Orleans only
// when its peer has proved who it is, by a certificate or by the secret of the silo's user. Until then it costs a socket and a buffer, and few
// connections are in that state at a time: the newest ones, since a peer that means well needs milliseconds. One that is refused is closed without
// a word.

/// <summary>What stands before Orleans on one port of a silo.</summary>
/// <param name="port">The port.</param>
/// <param name="tls">TLS on the port; null for none.</param>
/// <param name="secret">What peers must know; null if certificates prove who they are, or nothing has to.</param>
/// <param name="maxConnections">The most connections of proved peers.</param>
internal sealed class ConnectionGate(PortKind port, TlsOptions? tls, byte[]? secret, int maxConnections)
{
    /// <summary>The most connections whose peers have not proved who they are.</summary>
    public const int MaxUnproved = 64;

    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly UnprovedConnections _unproved = new(MaxUnproved);
    private int _proved;
    private long _refused;
    private long _logged;

    /// <summary>Puts the gate before what the connection runs into next.</summary>
    public void Guard(IConnectionBuilder connection)
    {
        var logger = connection.ApplicationServices.GetRequiredService<ILogger<ConnectionGate>>();
        connection.Use(next => context => EnterAsync(context, next, logger));
        if (tls is not null)
        {
            connection.UseServerTls(tls);
        }

        connection.Use(next => context => ProveAsync(context, next, logger));
    }

    private async Task EnterAsync(ConnectionContext connection, ConnectionDelegate next, ILogger logger)
    {
        if (_unproved.Add(connection) is { } oldest)
        {
            Refuse(oldest, logger, "made room for a newer one");
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

    private async Task ProveAsync(ConnectionContext connection, ConnectionDelegate next, ILogger logger)
    {
        if (secret is not null && !await IsProvedAsync(connection, secret, logger))
        {
            return;
        }

        _unproved.Remove(connection);
        bool full;
        lock (_lock)
        {
            full = ++_proved > maxConnections;
        }

        try
        {
            if (full)
            {
                Refuse(connection, logger, $"{SiloSettings.Section}:{nameof(SiloSettings.MaxConnections)} is {maxConnections}");
                return;
            }

            await next(connection);
        }
        finally
        {
            lock (_lock)
            {
                _proved--;
            }
        }
    }

    private async Task<bool> IsProvedAsync(ConnectionContext connection, byte[] expected, ILogger logger)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed);
        patience.CancelAfter(SecretHandshake.SiloPatience);
        try
        {
            switch (await SecretHandshake.CheckAsync(connection.Transport, expected, port, patience.Token))
            {
                case PeerProof.Given:
                    return true;
                case PeerProof.Wrong:
                    Refuse(connection, logger, "wrong secret");
                    return false;
                case PeerProof.OtherPort:
                    Refuse(connection, logger, "proof for the other port");
                    return false;
                default:
                    // A check of the silo's health, for example.
                    connection.Abort();
                    return false;
            }
        }
        catch (OperationCanceledException) when (!connection.ConnectionClosed.IsCancellationRequested)
        {
            Refuse(connection, logger, $"no proof within {SecretHandshake.SiloPatience.TotalSeconds} s");
            return false;
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException)
        {
            // The peer has gone, or another connection has taken its place.
            return false;
        }
    }

    private void Refuse(ConnectionContext connection, ILogger logger, string reason)
    {
        var from = (connection.RemoteEndPoint as IPEndPoint)?.Address.ToString() ?? "nowhere";
        connection.Abort();
        long count;
        lock (_lock)
        {
            _refused++;
            if (_logged != 0 && Stopwatch.GetElapsedTime(_logged) < LogInterval)
            {
                return;
            }

            (count, _refused, _logged) = (_refused, 0, Stopwatch.GetTimestamp());
        }

        logger.ConnectionsRefused(port, count, from, reason);
    }
}
