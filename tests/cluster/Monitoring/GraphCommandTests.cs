using System.Text.Json;
using IommuFd.GrainInterfaces;

namespace IommuFd.ClusterTests.Monitoring;

/// <summary><c>iommufd graph</c>: who holds whom, as a person at a prompt sees it.</summary>
public sealed class GraphCommandTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    [Fact]
    public async Task The_graph_is_shown_as_a_tree_as_dot_and_as_JSON()
    {
        var silo = fixture.Cluster.Silos[0];
        var client = await fixture.ConnectAsync(silo);
        await using var context = await client.OpenAsync("graph");
        var ioas = await context.AllocateIoasAsync();
        var alone = await context.AllocateIoasAsync();
        await using var driver = await client.GetDriverAsync(context.Handle, "vfio \"quoted\"");
        await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0" });
        var hwpt = await device.AttachAsync(ioas);

        var tree = await RunAsync(silo, $"{context.Handle}");
        Assert.Contains($"IOAS {alone}, users 1: holds nothing", tree, StringComparison.Ordinal);
        Assert.Equal(
            ["driver 'vfio \"quoted\"': holds", $"device {device.Id} '0000:01:00.0', users 2 (bound device)", $"HWPT {hwpt}, users 2 (attached)", $"IOAS {ioas}, users 2 (mirroring it)"],
            Lines(tree)[..4]);

        var around = Lines(await RunAsync(silo, $"{context.Handle}", $"{hwpt}"));
        Assert.Equal(
            [
                $"HWPT {hwpt}, users 2: held by", $"device {device.Id} '0000:01:00.0', users 2 (attached)", "driver 'vfio \"quoted\"' (bound device)",
                $"HWPT {hwpt}, users 2: holds", $"IOAS {ioas}, users 2 (mirroring it)",
            ],
            around);

        var dot = await RunAsync(silo, $"{context.Handle}", "--format", "dot");
        Assert.StartsWith("digraph context {", dot, StringComparison.Ordinal);
        Assert.Contains("[label=\"driver 'vfio \\\"quoted\\\"'\", shape=ellipse, color=slategray]", dot, StringComparison.Ordinal);
        Assert.Equal(3, dot.Split(" -> ").Length - 1);

        using var json = JsonDocument.Parse(await RunAsync(silo, $"{context.Handle}", $"{ioas}", "--format", "json"));
        Assert.Equal(4, json.RootElement.GetProperty("nodes").GetArrayLength());
        Assert.Equal(3, json.RootElement.GetProperty("edges").GetArrayLength());
        Assert.False(json.RootElement.GetProperty("isTruncated").GetBoolean());
    }

    [Fact]
    public async Task An_object_that_is_not_there_is_said_so()
    {
        var silo = fixture.Cluster.Silos[0];
        await using var context = await (await fixture.ConnectAsync(silo)).OpenAsync("graph");
        await using var command = fixture.StartCommandLine(silo, "graph", $"{context.Handle}", "77");
        Assert.Equal(2, await command.WaitForExitAsync());
        Assert.Contains("no object has the id 77", command.Output, StringComparison.Ordinal);
    }

    private async Task<string> RunAsync(Orleans.TestingHost.SiloHandle silo, params string[] arguments)
    {
        await using var command = fixture.StartCommandLine(silo, ["graph", .. arguments]);
        Assert.True(await command.WaitForExitAsync() == 0, command.Output);
        return command.Output;
    }

    // The lines without what draws the tree.
    private static string[] Lines(string tree)
        => [.. tree.Split('\n').Select(line => line.TrimStart(' ', '│', '├', '└', '─').TrimEnd()).Where(line => line.Length > 0)];
}
