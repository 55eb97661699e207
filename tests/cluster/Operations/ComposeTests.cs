using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using IommuFd.Client;
using IommuFd.Silo.Security;
using Npgsql;
using YamlDotNet.Serialization;

namespace IommuFd.ClusterTests.Operations;

// No Docker engine runs where the tests do. So compose itself reads the file, and what it understood is started as processes: the silos' command lines
// and environments with loopback addresses and the tests' database in place of the containers', and the health check's command against each.

/// <summary>What docker-compose.yml describes is a cluster that works.</summary>
[Collection(PostgresCollection.Name)]
public sealed partial class ComposeTests(PostgresServer postgres) : IAsyncLifetime
{
    private static readonly string[] Databases = ["Silo__Clustering__ConnectionString", "Journal__ConnectionString"];

    private static readonly string[] Secrets = ["POSTGRES_PASSWORD_FILE", "DASHBOARD_TOKEN_FILE", "METRICS_TOKEN_FILE", "GRAFANA_PASSWORD_FILE", "SILO_CERTIFICATE_FILE", "SILO_KEY_FILE", "CA_CERTIFICATE_FILE"];

    private readonly string _passwordFile = Path.GetTempFileName();
    private readonly string _tokenFile = Path.GetTempFileName();
    private readonly string _certificates = Directory.CreateTempSubdirectory("iommufd-compose-").FullName;
    private readonly List<ChildProcess> _silos = [];
    private string _connectionString = null!;

    public async Task InitializeAsync()
    {
        _connectionString = await postgres.CreateDatabaseAsync();
        await File.WriteAllTextAsync(_passwordFile, $"{new NpgsqlConnectionStringBuilder(_connectionString).Password}\n");
        await File.WriteAllTextAsync(_tokenFile, "the-token-of-these-tests\n");
        using var made = Process.Start("bash", [Path.Combine(AppContext.BaseDirectory, "certificates"), _certificates]);
        await made.WaitForExitAsync();
        Assert.Equal(0, made.ExitCode);
    }

    public async Task DisposeAsync()
    {
        foreach (var silo in _silos)
        {
            await silo.DisposeAsync();
        }

        File.Delete(_passwordFile);
        File.Delete(_tokenFile);
        Directory.Delete(_certificates, recursive: true);
    }

    [Theory]
    [InlineData("POSTGRES_PASSWORD_FILE")]
    [InlineData("METRICS_TOKEN_FILE")]
    [InlineData("GRAFANA_PASSWORD_FILE")]
    [InlineData("SILO_CERTIFICATE_FILE")]
    [InlineData("SILO_KEY_FILE")]
    [InlineData("CA_CERTIFICATE_FILE")]
    public async Task Without_a_secret_of_each_kind_nothing_starts(string missing)
    {
        var (exitCode, output) = await ComposeAsync(_passwordFile, missing);

        Assert.NotEqual(0, exitCode);
        Assert.Contains(missing, output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_service_tells_its_health_comes_back_has_time_to_stop_and_listens_for_this_machine_only()
    {
        var services = await ReadServicesAsync();

        Assert.Equal(["grafana", "otel-collector", "postgres", "prometheus", "silo1", "silo2", "silo3"], services.Keys.Order(StringComparer.Ordinal));
        Assert.All(services, service =>
        {
            Assert.True(service.Value.ContainsKey("healthcheck"), $"{service.Key} has no health check");
            Assert.Equal("unless-stopped", service.Value["restart"]);
            Assert.True(service.Value.ContainsKey("stop_grace_period"), $"{service.Key} has no time to stop");
            Assert.All(PublishedPorts(service.Value), port => Assert.StartsWith("127.0.0.1", port, StringComparison.Ordinal));
            Assert.DoesNotContain(Environment(service.Value), variable => variable.Key.EndsWith("PASSWORD", StringComparison.Ordinal) || variable.Value.Contains("Password=", StringComparison.OrdinalIgnoreCase));
        });
    }

    [Fact]
    public async Task No_service_can_write_to_its_files_or_gain_rights_and_each_reaches_only_what_it_needs()
    {
        var (exitCode, output) = await ComposeAsync(_passwordFile);
        Assert.True(exitCode == 0, output);
        var file = new DeserializerBuilder().Build().Deserialize<Dictionary<string, object>>(output);
        Assert.Equal("true", ((Dictionary<object, object>)((Dictionary<object, object>)file["networks"])["database"])["internal"]);
        var services = await ReadServicesAsync();
        Assert.All(services, service =>
        {
            Assert.True("true".Equals(service.Value.GetValueOrDefault("read_only")), $"{service.Key} can write to its files");
            Assert.Equal(["ALL"], (List<object>)service.Value["cap_drop"]);
            Assert.Equal(["no-new-privileges:true"], (List<object>)service.Value["security_opt"]);
        });
        Assert.Equal(["postgres"], services.Where(service => service.Value.ContainsKey("cap_add")).Select(service => service.Key));

        string[] silos = ["silo1", "silo2", "silo3"];
        Assert.Equal(["cluster", "database", "telemetry"], NetworksOf("silo1").Order(StringComparer.Ordinal));
        Assert.Equal(silos.Append("postgres").Order(StringComparer.Ordinal), On("database"));
        Assert.Equal(silos, On("cluster"));
        Assert.Equal(silos.Concat(["otel-collector", "prometheus"]).Order(StringComparer.Ordinal), On("telemetry"));
        Assert.Equal(["grafana", "prometheus"], On("charts"));

        IEnumerable<string> NetworksOf(string service) => services[service]["networks"] is Dictionary<object, object> named ? named.Keys.Cast<string>() : ((List<object>)services[service]["networks"]).Cast<string>();
        IEnumerable<string> On(string network) => services.Keys.Where(service => NetworksOf(service).Contains(network)).Order(StringComparer.Ordinal);
    }

    [Fact]
    public async Task Its_silos_form_one_cluster_are_healthy_and_answer_ioctls()
    {
        var services = (await ReadServicesAsync()).Where(service => service.Key.StartsWith("silo", StringComparison.Ordinal)).ToList();
        var environments = new List<Dictionary<string, string>>();
        foreach (var (_, service) in services)
        {
            environments.Add(OnThisMachine(Environment(service)));
            _silos.Add(StartAsImage(environments[^1], Command(service, "command") ?? EntryPoint()));
        }

        await Task.WhenAll(_silos.Select(silo => silo.WaitForLineAsync("Ctrl-C drains and stops it.")));
        foreach (var ((_, service), environment) in services.Zip(environments))
        {
            var test = Command((Dictionary<object, object>)service["healthcheck"], "test")!;
            Assert.Equal("CMD", test[0]);
            await using var health = StartAsImage(environment, test[1..]);
            Assert.True(await health.WaitForExitAsync() == 0, health.Output);
        }

        await using var cluster = await SiloCluster.StartAsync(_connectionString, silos: 0);
        var authority = Path.Combine(_certificates, "ca.pem");
        using var certificate = Certificates.Load(Path.Combine(_certificates, "client.pem"), Path.Combine(_certificates, "client.key"), password: null);
        var grains = await cluster.ConnectAsync(client => client.UseClientCertificate(certificate, authority));
        Assert.Equal(3, (await grains.GetGrain<IManagementGrain>(0).GetHosts(onlyActive: true)).Count);
        await using var context = await new IommufdClient(grains).OpenAsync();
        await context.DestroyAsync(await context.AllocateIoasAsync());
    }

    /// <summary>A container's environment, with this machine's addresses.</summary>
    private Dictionary<string, string> OnThisMachine(Dictionary<string, string> environment)
    {
        var here = new NpgsqlConnectionStringBuilder(_connectionString) { Password = null };
        foreach (var name in Databases)
        {
            // All that must change: where the server is, and that tests have databases of their own.
            var there = new NpgsqlConnectionStringBuilder(environment[name]);
            Assert.Equal(("postgres", "iommufd"), (there.Host, there.Username));
            (there.Host, there.Port, there.Database) = (here.Host, here.Port, here.Database);
            environment[name] = there.ConnectionString;
        }

        environment["PGPASSWORD_FILE"] = _passwordFile;
        Assert.Equal(("0.0.0.0", "/run/secrets/dashboard_token"), (environment["Dashboard__Address"], environment["Dashboard__TokenFile"]));
        foreach (var (name, secret, file) in ((string, string, string)[])
            [("CertificatePath", "silo_certificate", "silo.pem"), ("KeyPath", "silo_key", "silo.key"), ("CaPath", "ca_certificate", "ca.pem")])
        {
            Assert.Equal($"/run/secrets/{secret}", environment[$"Silo__Tls__{name}"]);
            environment[$"Silo__Tls__{name}"] = Path.Combine(_certificates, file);
        }

        environment["Dashboard__Enabled"] = "true";
        environment["Dashboard__TokenFile"] = _tokenFile;
        environment["Dashboard__Address"] = "127.0.0.1";
        environment["Dashboard__Port"] = $"{Ports.Free()}";
        environment["Silo__Address"] = "127.0.0.1";
        environment["Silo__SiloPort"] = $"{Ports.Free()}";
        environment["Silo__GatewayPort"] = $"{Ports.Free()}";
        environment["Telemetry__PrometheusAddress"] = "127.0.0.1";
        environment["Telemetry__PrometheusPort"] = $"{Ports.Free()}";
        environment["Telemetry__PrometheusTokenPath"] = _passwordFile;
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = $"http://127.0.0.1:{Ports.Free()}";
        return environment;
    }

    private static ChildProcess StartAsImage(Dictionary<string, string> environment, string[] command)
    {
        Assert.Equal(["dotnet", "/app/iommufd-silo.dll"], command[..2]);
        return ChildProcess.Start(environment, "iommufd-silo.dll", command[2..]);
    }

    private static string[] EntryPoint()
        => JsonSerializer.Deserialize<string[]>(EntryPointLine().Match(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Dockerfile"))).Groups[1].Value)!;

    private async Task<Dictionary<string, Dictionary<object, object>>> ReadServicesAsync()
    {
        var (exitCode, output) = await ComposeAsync(_passwordFile);
        Assert.True(exitCode == 0, output);
        var file = new DeserializerBuilder().Build().Deserialize<Dictionary<string, object>>(output);
        return ((Dictionary<object, object>)file["services"]).ToDictionary(service => (string)service.Key, service => (Dictionary<object, object>)service.Value);
    }

    private static Dictionary<string, string> Environment(Dictionary<object, object> service)
        => service.TryGetValue("environment", out var environment)
            ? ((Dictionary<object, object>)environment).ToDictionary(variable => (string)variable.Key, variable => (string)variable.Value)
            : [];

    // Docker's plugin tells each part of a port, its older program has one text.
    private static IEnumerable<string> PublishedPorts(Dictionary<object, object> service)
        => service.TryGetValue("ports", out var ports)
            ? ((List<object>)ports).Select(port => port is Dictionary<object, object> parts ? string.Create(CultureInfo.InvariantCulture, $"{parts["host_ip"]}:{parts["published"]}") : (string)port)
            : [];

    private static string[]? Command(Dictionary<object, object> parent, string key)
        => parent.TryGetValue(key, out var command) && command is List<object> parts ? [.. parts.Cast<string>()] : null;

    private static async Task<(int ExitCode, string Output)> ComposeAsync(string? passwordFile, string? missing = null)
    {
        foreach (var program in (string[][])[["docker", "compose"], ["docker-compose"]])
        {
            if (await RunAsync([.. program, "version"], null) is { ExitCode: 0 })
            {
                return (await RunAsync([.. program, "-f", Path.Combine(AppContext.BaseDirectory, "docker-compose.yml"), "config"], passwordFile, missing))!.Value;
            }
        }

        throw new InvalidOperationException("These tests need Docker's compose, and there is neither 'docker compose' nor 'docker-compose': run 'make setup', or 'apt-get install docker-compose'.");
    }

    private static async Task<(int ExitCode, string Output)?> RunAsync(string[] command, string? passwordFile, string? missing = null)
    {
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = AppContext.BaseDirectory };
        foreach (var secret in Secrets)
        {
            start.Environment.Remove(secret);
            if (passwordFile is not null && secret != missing)
            {
                start.Environment[secret] = passwordFile;
            }
        }

        try
        {
            using var process = Process.Start(start)!;
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            return (process.ExitCode, process.ExitCode == 0 ? await output : await output + await errors);
        }
        catch (Win32Exception)
        {
            return null;
        }
    }

    [GeneratedRegex("^ENTRYPOINT (.*)$", RegexOptions.Multiline)]
    private static partial Regex EntryPointLine();
}
