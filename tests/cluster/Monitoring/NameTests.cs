using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.ClusterTests.Monitoring;

/// <summary>What a program calls itself and its devices is kept as it is, and can neither begin a line nor give a terminal orders: in no command, and in no log.</summary>
public sealed class NameTests(MonitorFixture fixture) : IClassFixture<MonitorFixture>
{
    // Sets the title, clears the screen by a single C1 character, begins a line, and turns the text around.
    private const string Name = "evil\u001b]0;owned\u0007\u009b2J\nforged line\r\u202ename";

    private const string Shown = @"evil\x1B]0;owned\x07\x9B2J\x0Aforged line\x0D\u202Ename";

    [Fact]
    public async Task No_command_shows_what_is_in_a_name_but_text()
    {
        var silo = fixture.Cluster.Silos[0];
        var client = await fixture.ConnectAsync(silo);
        await using var context = await client.OpenAsync(Name);
        var ioas = await context.AllocateIoasAsync();
        await using var driver = await client.GetDriverAsync(context.Handle, Name);
        await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = Name });
        await device.AttachAsync(ioas);
        await using var hold = await driver.HoldAsync(ioas, Name);
        await Assert.ThrowsAsync<IommufdException>(() => context.DestroyAsync(ioas).AsTask());

        var handle = $"{context.Handle}";
        foreach (var arguments in (string[][])
        [
            ["top", "--once"], ["inspect", handle], ["inspect", handle, $"{ioas}"], ["inspect", handle, $"{device.Id}"], ["why", handle, $"{ioas}"], ["graph", handle], ["graph", handle, $"{ioas}"],
            ["graph", handle, "--format", "dot"], ["graph", handle, "--format", "json"], ["inspect", handle, "--json"], ["why", handle, $"{ioas}", "--json"], ["tail", handle, "--no-follow"],
        ])
        {
            await using var command = fixture.StartCommandLine(silo, arguments);
            Assert.True(await command.WaitForExitAsync() == 0, command.Output);
            var what = $"'{string.Join(' ', arguments.Where(argument => argument != handle))}' shows\n{command.Output}";
            Assert.True(!command.Output.Any(letter => (char.IsControl(letter) && letter != '\n') || letter == '\u202e'), what);
            Assert.True(!command.Output.Split('\n').Any(line => line.StartsWith("forged", StringComparison.Ordinal)), what);
            Assert.True(command.Output.Contains("evil", StringComparison.Ordinal), what);
        }

        await using (var inspect = fixture.StartCommandLine(silo, "inspect", handle))
        {
            await inspect.WaitForLineAsync($"referenced by file '{Shown}'");
        }

        // It is kept as it is.
        Assert.Contains((await context.InspectAsync()).References, reference => reference.Name == Name);
        await hold.DropAsync();
        await device.UnbindAsync();
    }

    [Fact]
    public async Task A_log_has_a_name_in_one_line()
    {
        await using var silo = ChildProcess.Start(
            "iommufd-silo.dll", "--Silo:SiloPort=0", $"--Silo:GatewayPort={Ports.Free()}", "--Journal:Store=none", "--Logging:LogLevel:IommuFd=Debug");
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
        var host = Security.GuardedSilo.Client(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, GatewayOf(silo)));
        await host.StartAsync();
        await using (var context = await new IommufdClient((IGrainFactory)host.Services.GetService(typeof(IGrainFactory))!).OpenAsync(Name))
        {
            await silo.WaitForLineAsync($"mode by {Shown}");
        }

        await host.StopAsync();
        host.Dispose();
        Assert.DoesNotContain('\u001b', silo.Output);
    }

    private static int GatewayOf(ChildProcess silo)
        => int.Parse(System.Text.RegularExpressions.Regex.Match(silo.Output, @"clients +127\.0\.0\.1:(\d+)").Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
}
