using IommuFd.Client;
using IommuFd.ClusterTests.Gateway;

namespace IommuFd.ClusterTests.Operations;

/// <summary>The gateway's port as a person uses it: the server's settings and the command line's options, in processes of their own.</summary>
public sealed class GatewayCommandTests(RemoteSilo silo) : IClassFixture<RemoteSilo>
{
    [Fact]
    public async Task A_command_reaches_the_port_with_a_token_from_a_file_or_the_environment_or_with_a_certificate()
    {
        using var certificate = silo.Certificates.Client("CN=carol");
        string[] demo = ["demo", "--gateway", silo.Url, "--tls-ca", silo.Certificates.AuthorityPath];
        await using var byFile = ChildProcess.Start("iommufd.dll", [.. demo, "--token-file", silo.Certificates.Write("token", RemoteSilo.AliceToken + "\n")]);
        Assert.True(await byFile.WaitForExitAsync() == 0, byFile.Output);
        await using var byEnvironment = ChildProcess.Start(new Dictionary<string, string> { ["IOMMUFD_TOKEN"] = RemoteSilo.BobToken }, "iommufd.dll", demo);
        Assert.True(await byEnvironment.WaitForExitAsync() == 0, byEnvironment.Output);
        await using var byCertificate = ChildProcess.Start("iommufd.dll", [.. demo, "--tls-certificate", silo.Certificates.Save(certificate, "carol.pem")]);
        Assert.True(await byCertificate.WaitForExitAsync() == 0, byCertificate.Output);
    }

    [Theory]
    [InlineData("refuses this client: the token is wrong", "--token-file", "WRONG")]
    [InlineData("is not trusted: its certificate is not for the name 'elsewhere'", "--tls-server-name", "elsewhere")]
    [InlineData("can't be combined", "--socket", "/nowhere")]
    [InlineData("There is no file '/nowhere'", "--token-file", "/nowhere")]
    public async Task A_command_says_why_it_is_refused(string why, string option, string value)
    {
        value = value == "WRONG" ? silo.Certificates.Write("wrong", "0123456789abcdef0123456789abcdef") : value;
        await using var demo = ChildProcess.Start("iommufd.dll", "demo", "--gateway", silo.Url, "--tls-ca", silo.Certificates.AuthorityPath, option, value);

        Assert.True(await demo.WaitForExitAsync() == 2, demo.Output);
        Assert.Contains(why, demo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_gateway_whose_authority_is_not_named_is_not_trusted_for_that_reason()
    {
        await using var demo = ChildProcess.Start("iommufd.dll", "demo", "--gateway", silo.Url, "--token-file", silo.Certificates.Write("token", RemoteSilo.AliceToken));
        Assert.True(await demo.WaitForExitAsync() == 2, demo.Output);
        Assert.Contains("is not trusted: its certificate comes from no authority that is trusted here", demo.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_that_does_not_speak_TLS_is_said_to_be_that_and_not_one_that_is_not_trusted_or_not_there()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        var answering = AnswerAsync(listener);
        await using var demo = ChildProcess.Start(
            "iommufd.dll", "demo", "--gateway", $"tls://127.0.0.1:{((System.Net.IPEndPoint)listener.LocalEndpoint).Port}", "--tls-ca", silo.Certificates.AuthorityPath,
            "--token-file", silo.Certificates.Write("token", RemoteSilo.AliceToken));
        Assert.True(await demo.WaitForExitAsync() == 2, demo.Output);
        Assert.Contains("does not speak TLS with this client", demo.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("not trusted", demo.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("No gateway answers", demo.Output, StringComparison.Ordinal);
        listener.Stop();
        await answering;
    }

    private static async Task AnswerAsync(System.Net.Sockets.TcpListener listener)
    {
        try
        {
            while (true)
            {
                using var client = await listener.AcceptTcpClientAsync();
                await client.GetStream().WriteAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray());
            }
        }
        catch (System.Net.Sockets.SocketException)
        {
            // The test is over.
        }
        catch (IOException)
        {
            // The client has gone.
        }
    }

    [Fact]
    public async Task A_command_about_the_cluster_says_how_to_open_Orleans_port()
    {
        await using var top = ChildProcess.Start("iommufd.dll", "top", "--once", "--socket", silo.Path);

        Assert.True(await top.WaitForExitAsync() == 2, top.Output);
        Assert.Contains("Silo__GatewayPort=30000 make run", top.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_silo_without_a_port_for_Orleans_clients_says_so_and_how_programs_reach_it()
    {
        var (folder, port) = (Directory.CreateTempSubdirectory("iommufd-gateway-"), Ports.Free());
        try
        {
            var socket = Path.Combine(folder.FullName, "socket");
            await using var process = ChildProcess.Start(
                new Dictionary<string, string> { ["Gateway__Tokens__alice"] = RemoteSilo.AliceToken, ["Gateway__CertificatePath"] = silo.Certificates.ServerPath },
                "iommufd-silo.dll", "--Silo:SiloPort=0", "--Journal:Store=none", $"--Gateway:Path={socket}", $"--Gateway:Listen=127.0.0.1:{port}");
            await process.WaitForLineAsync("Ctrl-C drains and stops it.");
            Assert.Contains("clients    no port for Orleans clients (Silo:GatewayPort opens one", process.Output, StringComparison.Ordinal);
            Assert.Contains($"iommufd demo --socket {socket}", process.Output, StringComparison.Ordinal);
            Assert.Contains($"iommufd demo --gateway tls://127.0.0.1:{port} --token-file FILE", process.Output, StringComparison.Ordinal);
            Assert.DoesNotContain(RemoteSilo.AliceToken, process.Output, StringComparison.Ordinal);

            var client = new IommufdClient($"tls://127.0.0.1:{port}", new IommufdClientOptions { Credentials = new GatewayCredentials { Token = RemoteSilo.AliceToken, Authorities = [silo.Certificates.Authority] } });
            await using var context = await client.OpenAsync();
            await context.AllocateIoasAsync();
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("Gateway__Tokens__alice", "12345678", "Gateway:Tokens:alice: could be guessed: a token is the text of at least 16 random bytes")]
    [InlineData("Gateway__CertificatePath", "/nowhere.pem", "Gateway:CertificatePath: is '/nowhere.pem', but there is no such file")]
    [InlineData("Gateway__Listen", "0.0.0.0:7443", "Gateway:Listen: is 0.0.0.0:7443, which others can reach, so Gateway:CertificatePath must be set")]
    public async Task A_silo_does_not_start_with_what_secures_nothing(string name, string value, string problem)
    {
        var environment = new Dictionary<string, string>
        {
            ["Gateway__Listen"] = $"127.0.0.1:{Ports.Free()}",
            ["Gateway__Tokens__bob"] = RemoteSilo.BobToken,
            [name] = value,
        };
        await using var process = ChildProcess.Start(environment, "iommufd-silo.dll", "--Silo:SiloPort=0", "--Journal:Store=none");

        Assert.Equal(2, await process.WaitForExitAsync());
        Assert.Contains(problem, process.Output, StringComparison.Ordinal);
    }
}
