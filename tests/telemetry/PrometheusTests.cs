using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.TestSupport;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.TelemetryTests;

/// <summary>What Prometheus is shown by a silo as people run it, and what Grafana asks of that.</summary>
public sealed partial class PrometheusTests : IAsyncDisposable
{
    private const string Token = "a-token-of-a-test-0123456789";

    private readonly SqliteJournalPlace _place = new();
    private readonly HttpClient _http = new();
    private readonly string _tokenFile = Path.GetTempFileName();

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        File.Delete(_tokenFile);
        await _place.DisposeAsync();
    }

    [Fact]
    public async Task Every_metric_that_the_dashboard_asks_for_is_exported()
    {
        var handle = await LeaveContextBehindAsync();
        var port = FreePort();
        using var silo = await StartAsync($"--Telemetry:PrometheusPort={port}");
        var client = new IommufdClient(silo.Services.GetRequiredService<IGrainFactory>());
        await using var context = await client.DuplicateAsync(handle, "again");
        for (var i = 0; i < 20; i++)
        {
            await context.GetRlimitModeAsync();
        }

        // One request in 1024 says when it was sent; a volatile context makes them quickly.
        await using (var other = await client.OpenAsync("other", ContextMode.Volatile))
        {
            for (var i = 0; i < 12_000; i++)
            {
                await other.GetRlimitModeAsync();
            }
        }

        var page = await _http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/metrics"));
        var exported = SampleName().Matches(page).Select(match => match.Groups[1].Value).ToHashSet();
        var asked = AskedByDashboard();
        Assert.True(asked.Count >= 15, $"only {asked.Count} metrics were found in the dashboard");
        Assert.All(asked, name => Assert.True(exported.Contains(name), $"the dashboard asks for {name}, which is not among:\n{string.Join('\n', exported.Order(StringComparer.Ordinal))}"));
        Assert.Contains("iommufd_command=\"IOMMU_OPTION\"", page, StringComparison.Ordinal);
        Assert.DoesNotContain(handle.ToString(), page, StringComparison.OrdinalIgnoreCase);
        client.Stop();
        await silo.StopAsync();
    }

    [Fact]
    public async Task Whoever_has_not_the_token_sees_nothing()
    {
        await File.WriteAllTextAsync(_tokenFile, $"{Token}\n");
        var port = FreePort();
        using var silo = await StartAsync($"--Telemetry:PrometheusPort={port}", $"--Telemetry:PrometheusTokenPath={_tokenFile}");
        var address = new Uri($"http://127.0.0.1:{port}/metrics");

        foreach (var token in (string?[])[null, "", Token[..^1], $"{Token}0"])
        {
            _http.DefaultRequestHeaders.Authorization = token is null ? null : new AuthenticationHeaderValue("Bearer", token);
            using var refused = await _http.GetAsync(address);
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
            Assert.Empty(await refused.Content.ReadAsStringAsync());
        }

        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Token);
        Assert.Contains("iommufd_contexts", await _http.GetStringAsync(address), StringComparison.Ordinal);
        using var elsewhere = await _http.GetAsync(new Uri(address, "/"));
        Assert.Equal(HttpStatusCode.NotFound, elsewhere.StatusCode);
        await silo.StopAsync();
    }

    [Fact]
    public async Task After_some_wrong_tokens_an_address_has_to_wait()
    {
        await File.WriteAllTextAsync(_tokenFile, Token);
        var port = FreePort();
        using var silo = await StartAsync($"--Telemetry:PrometheusPort={port}", $"--Telemetry:PrometheusTokenPath={_tokenFile}");
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", $"{Token}0");
        for (var i = 0; i < 10; i++)
        {
            using var refused = await _http.GetAsync(new Uri($"http://127.0.0.1:{port}/metrics"));
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        }

        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Token);
        using var right = await _http.GetAsync(new Uri($"http://127.0.0.1:{port}/metrics"));
        Assert.Equal(HttpStatusCode.TooManyRequests, right.StatusCode);
        await silo.StopAsync();
    }

    [Fact]
    public async Task A_token_that_could_be_guessed_is_refused()
    {
        await File.WriteAllTextAsync(_tokenFile, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        var failure = await Assert.ThrowsAsync<ValidationException>(() => StartAsync("--Telemetry:PrometheusPort=9464", $"--Telemetry:PrometheusTokenPath={_tokenFile}"));
        Assert.Contains("could be guessed", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Beyond_the_loopback_a_token_is_needed()
    {
        var failure = await Assert.ThrowsAsync<ValidationException>(() => StartAsync("--Telemetry:PrometheusPort=9464", "--Telemetry:PrometheusAddress=0.0.0.0"));

        Assert.Contains("Telemetry:PrometheusTokenPath", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_disabled_SDK_opens_no_port()
    {
        var port = FreePort();
        using var silo = await StartAsync($"--Telemetry:PrometheusPort={port}", "--OTEL_SDK_DISABLED=true");

        await Assert.ThrowsAsync<HttpRequestException>(() => _http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/metrics")));
        await silo.StopAsync();
    }

    [Fact]
    public async Task A_port_that_is_taken_is_named()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;

        var failure = await Assert.ThrowsAsync<ValidationException>(() => StartAsync($"--Telemetry:PrometheusPort={port}"));

        Assert.Contains($"Telemetry:PrometheusPort: can't listen on 127.0.0.1:{port}", failure.Message, StringComparison.Ordinal);
    }

    private static List<string> AskedByDashboard()
    {
        using var dashboard = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "iommufd.json")));
        return [.. dashboard.RootElement.GetProperty("panels").EnumerateArray()
            .SelectMany(panel => panel.GetProperty("targets").EnumerateArray())
            .SelectMany(target => MetricName().Matches(target.GetProperty("expr").GetString()!))
            .Select(match => match.Value)
            .Distinct()];
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private async Task<ContextHandle> LeaveContextBehindAsync()
    {
        using var silo = await StartAsync();
        var client = new IommufdClient(silo.Services.GetRequiredService<IGrainFactory>());
        var context = await client.OpenAsync("left behind", ContextMode.Durable);
        await context.AllocateIoasAsync();
        client.Stop();
        await silo.StopAsync();
        return context.Handle;
    }

    private async Task<IHost> StartAsync(params string[] arguments)
    {
        var (host, _) = SiloHost.Build(
            ["--Silo:SiloPort=0", "--Silo:GatewayPort=0", "--Dashboard:Enabled=false", "--Journal:Store=sqlite", $"--Journal:Path={_place.Settings.Path}", "--Contexts:Lease=00:10:00", $"--Silo:SecretPath={TestSecret.Path}", .. arguments]);
        try
        {
            await host.StartAsync();
            return host;
        }
        catch
        {
            host.Dispose();
            throw;
        }
    }

    [GeneratedRegex("^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:{| )", RegexOptions.Multiline)]
    private static partial Regex SampleName();

    [GeneratedRegex("\\b(?:iommufd|dotnet)_[a-z0-9_]+(?={)")]
    private static partial Regex MetricName();
}
