using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway;
using IommuFd.Silo.Gateway.Remote;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>The gateway by TCP with TLS: who gets in by what, and as whom.</summary>
public sealed class RemoteTests(RemoteSilo silo) : IClassFixture<RemoteSilo>
{
    private static readonly InspectRequest Look = new(default, 1, WithState: false);

    [Fact]
    public async Task Requests_are_answered_as_by_the_socket()
    {
        var client = silo.Client(RemoteSilo.AliceToken);
        await using var context = await client.OpenAsync("by TLS");
        var ioas = await context.AllocateIoasAsync();
        await using var driver = await client.GetDriverAsync(context.Handle, "driver");
        var hold = await driver.HoldAsync(ioas, "why");
        var busy = await Assert.ThrowsAsync<IommufdException>(() => context.DestroyAsync(ioas).AsTask());
        Assert.Equal((Errno.EBUSY, "driver: why"), (busy.Errno, busy.Diagnostic!.Holders.Single().Why));
        await hold.DisposeAsync();
        await context.DestroyAsync(ioas);
        Assert.NotEmpty((await client.TailAsync(context.Handle, new TailRequest(0, 0, 10))).Ioctls);

        // An argument and an answer of many TLS records.
        var memory = new CallerMemory().Add(0x10000, UapiStruct.ToBytes(new IommuIoasAllowIovas { Size = 24, IoasId = 99, NumIovas = 65_536, AllowedIovas = 0x100000 })).Add(0x100000, new byte[1 << 20]);
        Assert.Equal(Errno.ENOENT, (await context.IoctlAsync((uint)IommuCommand.IoasAllowIovas, 0x10000, memory)).Errno);
        var batch = context.CreateBatch();
        for (var i = 0; i < IoctlLimits.MaxBatch; i++)
        {
            batch.Add(IommuCommand.Destroy, new IommuDestroy { Id = 99 });
        }

        Assert.All(await batch.RunAsync(), result => Assert.Equal(Errno.ENOENT, result.Errno));
    }

    [Fact]
    public async Task A_token_is_an_identity_whether_the_settings_have_it_or_its_hash()
    {
        var (alice, bob) = (silo.Client(RemoteSilo.AliceToken), silo.Client(RemoteSilo.BobToken));
        await using var context = await alice.OpenAsync("alice's");

        Assert.Equal(Errno.None, (await silo.Client(RemoteSilo.AliceToken).InspectAsync(context.Handle, Look)).Errno);
        Assert.Equal(Errno.EBADF, (await Assert.ThrowsAsync<IommufdException>(() => bob.InspectAsync(context.Handle, Look))).Errno);
        Assert.Equal(Errno.EBADF, (await Assert.ThrowsAsync<IommufdException>(() => new IommufdClient(silo.Path).InspectAsync(context.Handle, Look))).Errno);
        var settings = silo.Services.GetRequiredService<GatewaySettings>();
        Assert.True(settings.Tokens.Count == 0, "tokens are kept as hashes only");
    }

    [Theory]
    [InlineData(null, "there is neither a token nor a certificate")]
    [InlineData("vX3wq8Zr5NfT1kLm9PbY2cHe", "the token is wrong")]
    [InlineData("vX3wq8Zr5NfT1kLm9PbY2cH", "the token is wrong")]
    public async Task A_wrong_token_is_refused_at_once_and_counted(string? token, string why)
    {
        var server = silo.Services.GetRequiredService<RemoteServer>();
        var before = server.Refusals;
        var failure = await Assert.ThrowsAsync<IommufdTransportException>(() => silo.Client(token, retryFor: TimeSpan.FromHours(1)).OpenAsync("nobody"));

        Assert.Equal(TransportOutcome.NotRun, failure.Outcome);
        Assert.Contains($"The gateway at '{silo.Url}' refuses this client: {why}", failure.Message, StringComparison.Ordinal);
        Assert.True(server.Refusals > before, "the refusal is counted");
    }

    [Fact]
    public async Task A_certificates_common_name_is_an_identity_and_other_than_a_tokens()
    {
        using var certificate = silo.Certificates.Client("CN=alice, O=somewhere");
        using var renewed = silo.Certificates.Client("CN=alice");
        var client = silo.Client(certificate: certificate);
        await using var context = await client.OpenAsync("alice's, by certificate");
        await context.AllocateIoasAsync();

        Assert.Equal(Errno.None, (await silo.Client(certificate: renewed).InspectAsync(context.Handle, Look)).Errno);
        Assert.Equal(Errno.EBADF, (await Assert.ThrowsAsync<IommufdException>(() => silo.Client(RemoteSilo.AliceToken).InspectAsync(context.Handle, Look))).Errno);

        // A token counts where both are given.
        Assert.Equal(Errno.EBADF, (await Assert.ThrowsAsync<IommufdException>(() => silo.Client(RemoteSilo.AliceToken, certificate).InspectAsync(context.Handle, Look))).Errno);
        await Assert.ThrowsAsync<IommufdTransportException>(() => silo.Client("wrong", certificate).InspectAsync(context.Handle, Look));
    }

    [Fact]
    public async Task A_foreign_certificate_and_one_for_servers_and_one_of_nobody_are_refused()
    {
        using var foreign = new TestCertificates();
        foreach (var (what, certificate, why) in ((string, X509Certificate2, string)[])
            [
                ("another authority's", foreign.Client("CN=alice"), "its certificate is not trusted"),
                ("nobody's", TestCertificates.SelfSigned("CN=alice"), "its certificate is not trusted"),
                ("a server's", silo.Certificates.ForServers("CN=alice"), "its certificate is not trusted"),
                ("one without a common name", silo.Certificates.Client("O=somewhere"), "its certificate has no common name"),
                ("one with two", silo.Certificates.Client("CN=alice, CN=bob"), "its certificate has no common name"),
                ("one whose name breaks a line", silo.Certificates.Client("CN=\"alice\nbob\""), "its certificate has no common name"),
            ])
        {
            using (certificate)
            {
                var failure = await Assert.ThrowsAsync<IommufdTransportException>(() => silo.Client(certificate: certificate).OpenAsync("nobody"));
                Assert.True(failure.Message.Contains(why, StringComparison.Ordinal), $"{what}: refused because {why}, it was: {failure.Message}");
            }
        }
    }

    [Fact]
    public async Task A_thumbprint_stands_for_one_certificate_that_no_authority_has_issued()
    {
        using var known = TestCertificates.SelfSigned("CN=carol");
        using var other = TestCertificates.SelfSigned("CN=carol");
        using var certificates = new TestCertificates();
        var port = Ports.Free();
        await using var pinned = await GatewaySilo.StartAsync(settings =>
        {
            settings.Listen = $"127.0.0.1:{port}";
            settings.CertificatePath = certificates.ServerPfxPath;
            settings.Password = TestCertificates.Password;
            settings.ClientThumbprints.Add(known.GetCertHashString(HashAlgorithmName.SHA256));
        });

        await using (var context = await Client(known).OpenAsync("carol's"))
        {
            await context.AllocateIoasAsync();
        }

        await Assert.ThrowsAsync<IommufdTransportException>(() => Client(other).OpenAsync("nobody"));

        IommufdClient Client(X509Certificate2 certificate)
            => new($"tls://localhost:{port}", new IommufdClientOptions { Credentials = new GatewayCredentials { Certificate = certificate, Authorities = [certificates.Authority] } });
    }

    [Fact]
    public async Task A_gateway_that_is_not_trusted_or_has_another_name_gets_no_token()
    {
        foreach (var credentials in (GatewayCredentials[])[new() { Token = RemoteSilo.AliceToken }, new() { Token = RemoteSilo.AliceToken, Authorities = [silo.Certificates.Authority], ServerName = "elsewhere" }])
        {
            var failure = await Assert.ThrowsAsync<IommufdTransportException>(() => new IommufdClient(silo.Url, new IommufdClientOptions { Credentials = credentials }).OpenAsync("nobody"));
            Assert.Equal(TransportOutcome.NotRun, failure.Outcome);
            Assert.Contains($"The gateway at '{silo.Url}' is not trusted", failure.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Plain_bytes_to_the_port_of_TLS_get_no_answer_of_the_gateways_and_harm_nobody()
    {
        await using var context = await silo.Client(RemoteSilo.AliceToken).OpenAsync("witness");
        using var plain = await WireConnection.ConnectAsync(silo.Port);
        await plain.TrySendAsync(WireFrames.Hello(WireFrames.Calls, token: RemoteSilo.AliceToken));
        await plain.DrainAsync();

        await context.AllocateIoasAsync();
    }

    [Fact]
    public async Task Bytes_that_are_no_HELLO_within_TLS_are_malformed()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync("127.0.0.1", silo.Port);
        await using var tls = new SslStream(new NetworkStream(socket), leaveInnerStreamOpen: false);
        var trust = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        trust.CustomTrustStore.Add(silo.Certificates.Authority);
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "localhost", CertificateChainPolicy = trust });
        await tls.WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray());
        var header = new byte[12];
        await tls.ReadExactlyAsync(header);

        Assert.True(header[4] == WireFrame.Bye, $"HTTP is answered BYE, it was 0x{header[4]:X2}");
    }

    [Fact]
    public async Task A_client_goes_on_when_its_connection_ends()
    {
        using var between = new Relay(silo.Port);
        var client = new IommufdClient(
            $"tls://localhost:{between.Port}", new IommufdClientOptions { Credentials = new GatewayCredentials { Token = RemoteSilo.AliceToken, Authorities = [silo.Certificates.Authority] } });
        await using var context = await client.OpenAsync("goes on");
        List<ObjectId> allocated = [];
        for (var cuts = 0; cuts < 5; cuts++)
        {
            allocated.Add(await context.AllocateIoasAsync());
            between.Cut();
        }

        Assert.Equal([1u, 2, 3, 4, 5], allocated.Select(id => id.Value));
        Assert.True(between.Connections > 1, "the client has connected again");
    }
}
