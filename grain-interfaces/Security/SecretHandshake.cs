using System.Buffers;
using System.IO.Pipelines;
using System.Security.Authentication;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Connections;

namespace IommuFd.GrainInterfaces.Security;

/// <summary>Which port of a silo a connection is for. A proof for one is none for the other.</summary>
internal enum PortKind : byte
{
    Silos = 1,
    Clients = 2,
}

/// <summary>What the answer to a challenge was.</summary>
internal enum PeerProof
{
    /// <summary>The peer knows the secret.</summary>
    Given,

    /// <summary>The peer's answer is not what the secret makes of the challenge.</summary>
    Wrong,

    /// <summary>The peer knows the secret, and takes the port for the other one. Orleans has a silo do so where a client addresses the gateway of another.</summary>
    OtherPort,

    /// <summary>The peer left without an answer.</summary>
    None,
}

// Before Orleans' first byte, each side shows the other that it knows the secret, and nobody who listens or relays learns it:
//
//   silo     "iommufd", version 1, 32 random bytes
//   client   32 random bytes, HMAC(secret, "iommufd client", the silo's bytes, the client's bytes, port)
//   silo     HMAC(secret, "iommufd server", the silo's bytes, the client's bytes, port)
//
// All lengths are fixed and nothing is parsed, since the silo does this with peers whom it does not know. Who is wrong gets no answer.

/// <summary>The proof of a secret that begins a connection.</summary>
internal static class SecretHandshake
{
    public const int ChallengeLength = 40, AnswerLength = NonceLength + HMACSHA256.HashSizeInBytes;

    private const int NonceLength = 32;

    /// <summary>How long a silo waits for a proof.</summary>
    public static readonly TimeSpan SiloPatience = TimeSpan.FromSeconds(5);

    // Less than Orleans gives a connection to open, so that what is said is why.
    private static readonly TimeSpan ClientPatience = TimeSpan.FromSeconds(4);

    private static ReadOnlySpan<byte> Magic => "iommufd\u0001"u8;

    /// <summary>The silo's half: asks the peer for a proof, and answers a right one with its own.</summary>
    public static async Task<PeerProof> CheckAsync(IDuplexPipe transport, byte[] secret, PortKind port, CancellationToken cancellationToken)
    {
        var nonce = RandomNumberGenerator.GetBytes(NonceLength);
        await transport.Output.WriteAsync((byte[])[.. Magic, .. nonce], cancellationToken);
        if (await ReadAsync(transport.Input, AnswerLength, cancellationToken) is not { } answer)
        {
            return PeerProof.None;
        }

        var peers = answer[..NonceLength];
        if (!IsFor(port))
        {
            return IsFor(port == PortKind.Silos ? PortKind.Clients : PortKind.Silos) ? PeerProof.OtherPort : PeerProof.Wrong;
        }

        await transport.Output.WriteAsync(Sign(secret, "iommufd server"u8, nonce, peers, port), cancellationToken);
        return PeerProof.Given;

        bool IsFor(PortKind kind) => CryptographicOperations.FixedTimeEquals(answer.AsSpan(NonceLength), Sign(secret, "iommufd client"u8, nonce, peers, kind));
    }

    /// <summary>The half of a client, or of a silo that connects to another: proves the secret, and checks that the peer knows it too.</summary>
    /// <exception cref="AuthenticationException">The peer asked for no proof in time, or does not know the same secret.</exception>
    public static async Task ProveAsync(IDuplexPipe transport, byte[] secret, PortKind port, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(ClientPatience);
        try
        {
            await AnswerAsync(transport, secret, port, patience.Token);
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new AuthenticationException($"The peer asked for no secret within {ClientPatience.TotalSeconds} s: it is no silo, or one that asks for a certificate or for nothing (Silo:Secret).", exception);
        }
    }

    /// <summary>A step of outgoing connections that proves a secret before all else.</summary>
    public static Func<ConnectionDelegate, ConnectionDelegate> Proving(Func<byte[]> secret, PortKind port) => next => async connection =>
    {
        await ProveAsync(connection.Transport, secret(), port, connection.ConnectionClosed);
        await next(connection);
    };

    private static async Task AnswerAsync(IDuplexPipe transport, byte[] secret, PortKind port, CancellationToken cancellationToken)
    {
        var challenge = await ReadAsync(transport.Input, ChallengeLength, cancellationToken);
        if (challenge is null || !challenge.AsSpan(0, Magic.Length).SequenceEqual(Magic))
        {
            throw new AuthenticationException("The peer is no silo that asks for a secret.");
        }

        var (silos, ours) = (challenge[Magic.Length..], RandomNumberGenerator.GetBytes(NonceLength));
        await transport.Output.WriteAsync((byte[])[.. ours, .. Sign(secret, "iommufd client"u8, silos, ours, port)], cancellationToken);
        if (await ReadAsync(transport.Input, HMACSHA256.HashSizeInBytes, cancellationToken) is not { } proof)
        {
            throw new AuthenticationException($"The silo refused the secret: it runs as another user or was given another file ({SecretFile.PathVariable}, Silo:SecretPath), or has no room for a connection (Silo:MaxConnections).");
        }

        if (!CryptographicOperations.FixedTimeEquals(proof, Sign(secret, "iommufd server"u8, silos, ours, port)))
        {
            throw new AuthenticationException("The peer does not know the secret.");
        }
    }

    /// <summary>Reads so many bytes and none behind them; null if the peer leaves before.</summary>
    private static async Task<byte[]?> ReadAsync(PipeReader input, int length, CancellationToken cancellationToken)
    {
        try
        {
            var read = await input.ReadAtLeastAsync(length, cancellationToken);
            var bytes = read.Buffer.Length < length ? null : read.Buffer.Slice(0, length).ToArray();
            input.AdvanceTo(bytes is null ? read.Buffer.End : read.Buffer.GetPosition(length));
            return bytes;
        }
        catch (IOException)
        {
            // Who closes a connection while bytes are under way to it resets it.
            return null;
        }
    }

    private static byte[] Sign(byte[] secret, ReadOnlySpan<byte> who, byte[] silos, byte[] clients, PortKind port)
        => HMACSHA256.HashData(secret, (byte[])[.. who, .. silos, .. clients, (byte)port]);
}

/// <summary>The ends of a stream, for a handshake.</summary>
internal sealed class StreamPipe(Stream stream) : IDuplexPipe
{
    public PipeReader Input { get; } = PipeReader.Create(stream);

    public PipeWriter Output { get; } = PipeWriter.Create(stream);
}
