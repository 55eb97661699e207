using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using IommuFd.Client;
using IommuFd.Silo.Gateway;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>A silo whose gateway listens for TCP too: encrypted, or for bytes that a test makes.</summary>
public sealed class RemoteSilo : IAsyncLifetime, IAsyncDisposable
{
    public const string AliceToken = "vX3wq8Zr5NfT1kLm9PbY2cHd", BobToken = "7aGhT4sKq0WzRe6UyNxCj8Ml";

    private GatewaySilo? _silo;

    public TestCertificates Certificates { get; } = new();

    public int Port { get; } = Ports.Free();

    public string Url => $"tls://127.0.0.1:{Port}";

    public string Path => _silo!.Path;

    public IServiceProvider Services => _silo!.Services;

    /// <summary>One that is unencrypted, with the tokens alone.</summary>
    internal static async Task<RemoteSilo> StartPlainAsync(Action<GatewaySettings>? configure = null)
    {
        var remote = new RemoteSilo();
        remote._silo = await GatewaySilo.StartAsync(settings =>
        {
            remote.AddPort(settings);
            settings.AllowUnencrypted = true;
            configure?.Invoke(settings);
        });
        return remote;
    }

    public async Task InitializeAsync() => _silo = await GatewaySilo.StartAsync(settings =>
    {
        AddPort(settings);
        settings.CertificatePath = Certificates.ServerPath;
        settings.ClientCaPath = Certificates.AuthorityPath;
        settings.Attempts = (1000, TimeSpan.FromSeconds(1));
    });

    /// <summary>A client by TLS.</summary>
    public IommufdClient Client(string? token = null, X509Certificate2? certificate = null, TimeSpan? retryFor = null)
        => new(Url, new IommufdClientOptions { Credentials = new GatewayCredentials { Token = token, Certificate = certificate, Authorities = [Certificates.Authority] }, RetryFor = retryFor ?? TimeSpan.FromSeconds(30) });

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    public async ValueTask DisposeAsync()
    {
        if (_silo is not null)
        {
            await _silo.DisposeAsync();
        }

        Certificates.Dispose();
    }

    // One as itself, one as its hash.
    private void AddPort(GatewaySettings settings)
    {
        settings.Listen = $"127.0.0.1:{Port}";
        settings.Tokens["alice"] = AliceToken;
        settings.Tokens["bob"] = $"sha256:{Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(BobToken)))}";
    }
}
