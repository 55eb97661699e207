using IommuFd.Cli.Conformance;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>C programs that use the emulated device by the bridge, as they would use Linux's.</summary>
[Collection(GatewayCollection.Name)]
public sealed class BridgeTests(GatewayFixture gateway)
{
    /// <summary>The test programs: each is a file of tests/bridge, and says itself what it expects. Those of devices, and of limits, need a gateway that has some.</summary>
    public static TheoryData<string> TestPrograms => [.. Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "bridge"), "*.c")
        .Select(path => Path.GetFileNameWithoutExtension(path)).Where(name => name is not ("replay" or "raw" or "vfio" or "nvme" or "groups" or "dmabuf" or "locked")).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(TestPrograms))]
    public async Task A_test_program_finds_what_it_expects(string name)
    {
        var outcome = await Programs.RunBridgedAsync(gateway.Socket, Programs.Built($"test-{name}"));

        Assert.True(outcome.Status == 0, $"tests/bridge/{name}.c: {outcome}");
    }

    [Theory]
    [InlineData("map")]
    [InlineData("attach")]
    [InlineData("busy")]
    public async Task An_example_ends_well(string name)
    {
        var outcome = await Programs.RunBridgedAsync(gateway.Socket, Programs.Built(name));

        Assert.True(outcome.Status == 0, $"examples/{name}.c: {outcome}");
    }

    [Theory]
    [MemberData(nameof(Groups))]
    public async Task A_C_program_gets_the_errno_and_the_bytes_that_Linux_gave(string group)
        => ExpectReplayed(group, await Programs.RunBridgedAsync(gateway.Socket, Programs.Built("replay"), Programs.FeedTraces(group)));

    /// <summary>The groups of traces that C programs replay.</summary>
    public static TheoryData<string> Groups => ["core", "ioas", "dev", "nest", "queue", "sparse", "vfio"];

    /// <summary>The replayer has replayed all of a group, and found no difference.</summary>
    internal static void ExpectReplayed(string group, Outcome outcome)
    {
        Assert.True(outcome.Status == 0, $"group {group}: {outcome}");
        var sequences = TraceSequence.Read(Programs.Traces(group)).ToList();
        var ioctls = sequences.Sum(sequence => sequence.Steps.Count(step => step.Open is null && !step.IsFileStep));
        Assert.Matches($"^sequences {sequences.Count} ioctls {ioctls} file-steps \\d+ mismatches 0$", outcome.Output.TrimEnd().Split('\n')[^1]);
    }
}
