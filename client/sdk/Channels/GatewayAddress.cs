using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using IommuFd.GrainInterfaces.Wire;

namespace IommuFd.Client;

/// <summary>Where a gateway is: the path of a Unix socket, <c>tls://HOST:PORT</c>, or on loopback <c>tcp://HOST:PORT</c>.</summary>
internal sealed class GatewayAddress
{
    private const string Tls = "tls", Tcp = "tcp";

    // A gateway whose machine is gone is found out within three minutes; requests are repeated long before.
    private const int KeepAliveSeconds = 60, KeepAliveProbeSeconds = 20, KeepAliveProbes = 6;

    private readonly EndPoint _endpoint;
    private readonly GatewayCredentials? _credentials;
    private readonly string? _tlsName;

    /// <param name="text">The path or URL.</param>
    /// <param name="credentials">The client's credentials, if any.</param>
    /// <exception cref="ArgumentException">The URL or the token can't be used.</exception>
    public GatewayAddress(string text, GatewayCredentials? credentials)
    {
        (Text, _credentials) = (text, credentials);
        var isTls = text.StartsWith($"{Tls}://", StringComparison.OrdinalIgnoreCase);
        if (!isTls && !text.StartsWith($"{Tcp}://", StringComparison.OrdinalIgnoreCase))
        {
            _endpoint = new UnixDomainSocketEndPoint(text);
            return;
        }

        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Port <= 0 || url.Host.Length == 0 || url.UserInfo.Length > 0 || url.PathAndQuery is not ("" or "/") || url.Fragment.Length > 0)
        {
            throw new ArgumentException($"A gateway's URL is {Tls}://HOST:PORT, or on loopback {Tcp}://HOST:PORT.", nameof(text));
        }

        if (!isTls && !url.IsLoopback)
        {
            throw new ArgumentException($"{Tcp}:// is not encrypted, and so for loopback only. Use {Tls}://.", nameof(text));
        }

        if (Encoding.UTF8.GetByteCount(credentials?.Token ?? "") > Hello.MaxToken)
        {
            throw new ArgumentException($"A token has at most {Hello.MaxToken} bytes.", nameof(credentials));
        }

        var host = url.HostNameType == UriHostNameType.IPv6 ? url.Host.Trim('[', ']') : url.IdnHost;
        _endpoint = IPAddress.TryParse(host, out var address) ? new IPEndPoint(address, url.Port) : new DnsEndPoint(host, url.Port);
        _tlsName = isTls ? credentials?.ServerName ?? host : null;
    }

    /// <summary>As it was given: it has no secret.</summary>
    public string Text { get; }

    /// <summary>What HELLO says of who the client is. The user of a Unix socket is known.</summary>
    public string? Token => _endpoint is UnixDomainSocketEndPoint ? null : _credentials?.Token;

    /// <summary>Connects.</summary>
    /// <returns>What the gateway sends, and how to send to it.</returns>
    /// <exception cref="SocketException">Nobody listens there.</exception>
    /// <exception cref="AuthenticationException">The gateway's certificate is not trusted.</exception>
    public async Task<(Stream Input, Func<ReadOnlyMemory<byte>, ValueTask<int>> Send)> ConnectAsync(CancellationToken cancellationToken)
    {
        var socket = _endpoint is UnixDomainSocketEndPoint ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) : RemoteSocket();
        try
        {
            await socket.ConnectAsync(_endpoint, cancellationToken).ConfigureAwait(false);
            var stream = new NetworkStream(socket, ownsSocket: true);
            return _tlsName is null ? (stream, FrameOutput.To(socket)) : await EncryptAsync(stream, _tlsName, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static string WhyNotTrusted(SslPolicyErrors problems, string name)
    {
        (SslPolicyErrors Problem, string Text)[] known =
        [
            (SslPolicyErrors.RemoteCertificateNotAvailable, "it shows no certificate"),
            (SslPolicyErrors.RemoteCertificateNameMismatch, $"its certificate is not for the name '{name}'"),
            (SslPolicyErrors.RemoteCertificateChainErrors, "its certificate comes from no authority that is trusted here, or has expired"),
        ];
        return string.Join("; ", known.Where(problem => problems.HasFlag(problem.Problem)).Select(problem => problem.Text));
    }

    private static Socket RemoteSocket()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveProbeSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAliveProbes);
        return socket;
    }

    private async Task<(Stream Input, Func<ReadOnlyMemory<byte>, ValueTask<int>> Send)> EncryptAsync(NetworkStream stream, string name, CancellationToken cancellationToken)
    {
        var tls = new SslStream(stream, leaveInnerStreamOpen: false);
        var options = new SslClientAuthenticationOptions { TargetHost = name, EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13 };
        if (_credentials?.Certificate is { } own)
        {
            options.ClientCertificateContext = SslStreamCertificateContext.Create(own, null, offline: true);
        }

        if (_credentials?.Authorities is { } authorities)
        {
            options.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
        }

        var problems = SslPolicyErrors.None;
        options.RemoteCertificateValidationCallback = (_, _, _, found) => (problems = found) == SslPolicyErrors.None;
        try
        {
            await tls.AuthenticateAsClientAsync(options, cancellationToken).ConfigureAwait(false);
            return (tls, FrameOutput.To(tls));
        }
        catch (AuthenticationException exception) when (problems == SslPolicyErrors.None)
        {
            // It has nothing to do with the gateway's certificate: the other side is no TLS, or wants other than this.
            throw new TlsFailedException(exception.InnerException?.Message ?? exception.Message, exception);
        }
        catch (IOException exception)
        {
            throw new TlsFailedException(exception.Message, exception);
        }
        catch (AuthenticationException exception)
        {
            throw new AuthenticationException(WhyNotTrusted(problems, name), exception);
        }
    }
}
