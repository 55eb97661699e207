using System.Text.Json;
using IommuFd.Cli;
using IommuFd.Cli.Conformance;
using IommuFd.Client;
using IommuFd.Grains.Configuration;
using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Xunit;

namespace IommuFd.ConformanceTests;

/// <summary>A silo in this process that all conformance tests share.</summary>
public sealed class SiloFixture : IAsyncLifetime
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-conformance-");
    private IHost? _host;

    public IommufdClient Client => new(_host!.Services.GetRequiredService<IGrainFactory>());

    /// <summary>A client of the silo's gateway.</summary>
    public IommufdClient GatewayClient => new(Socket);

    private string Socket => Path.Combine(_folder.FullName, "socket");

    public async Task InitializeAsync() => _host = await SiloHost.StartInProcessAsync(
        silo => silo.ConfigureLogging(logging => logging.AddFilter("IommuFd.Silo.Gateway", LogLevel.Warning)), gateway: new GatewaySettings { Path = Socket });

    public async Task DisposeAsync()
    {
        await _host!.StopAsync();
        _host.Dispose();
        _folder.Delete(recursive: true);
    }
}

/// <summary>What a real kernel answered is what we answer. A group joins the first test when its commands are done.</summary>
public sealed class ConformanceTests(SiloFixture silo) : IClassFixture<SiloFixture>
{
    [Theory]
    [InlineData("core", 300, 17_288)]
    [InlineData("ioas", 500, 31_000)]
    [InlineData("dev", 600, 35_132)]
    [InlineData("nest", 500, 30_992)]
    [InlineData("queue", 500, 33_889)]
    [InlineData("sparse", 500, 33_045)]
    [InlineData("vfio", 500, 31_439)]
    public async Task Every_ioctl_of_a_group_gets_the_errno_and_the_bytes_that_Linux_gave(string group, int sequences, int ioctls)
    {
        var tally = await ConformanceCommand.RunAsync(silo.Client, [TracePath(group)], listed: 3);

        Assert.True(tally.MismatchCount == 0, $"{tally.MismatchCount} mismatches in {group}, the first:\n{string.Join('\n', tally.Mismatches)}");
        Assert.Equal((sequences, ioctls), (tally.Sequences, tally.Ioctls));
    }

    // Objects on other silos are called by messages, as all of them are here. Or no context keeps an IOAS that has an area.
    [Theory]
    [InlineData(false, 0)]
    [InlineData(true, 0)]
    public async Task The_answers_are_the_same_where_objects_are_activated(bool near, int kept)
    {
        using var host = await SiloHost.StartInProcessAsync(contexts: new ContextOptions { CallsNearObjects = near, MaxKeptAreas = kept });
        var tally = await ConformanceCommand.RunAsync(new IommufdClient(host.Services.GetRequiredService<IGrainFactory>()), [TracePath("ioas")], listed: 3);
        await host.StopAsync();

        Assert.True(tally.MismatchCount == 0, $"{tally.MismatchCount} mismatches in ioas, the first:\n{string.Join('\n', tally.Mismatches)}");
        Assert.Equal(31_000, tally.Ioctls);
    }

    [Theory]
    [InlineData("core", 300, 17_288)]
    [InlineData("queue", 500, 33_889)]
    [InlineData("sparse", 500, 33_045)]
    [InlineData("vfio", 500, 31_439)]
    public async Task By_the_gateway_it_is_the_same(string group, int sequences, int ioctls)
    {
        var tally = await ConformanceCommand.RunAsync(silo.GatewayClient, [TracePath(group)], listed: 3);

        Assert.True(tally.MismatchCount == 0, $"{tally.MismatchCount} mismatches in {group}, the first:\n{string.Join('\n', tally.Mismatches)}");
        Assert.Equal((sequences, ioctls), (tally.Sequences, tally.Ioctls));
    }

    [Fact]
    public async Task A_trace_with_another_errno_is_a_mismatch()
        => await AssertMismatchAsync(step => step with { Errno = step.Errno ^ 1 }, "the trace has");

    [Fact]
    public async Task A_trace_with_another_byte_in_the_answer_is_a_mismatch()
        => await AssertMismatchAsync(step => step.Output is null ? step : step with { Output = $"{step.Output[..^2]}FE" }, "at ARGS+0x");

    [Fact]
    public async Task A_trace_with_a_byte_written_elsewhere_is_a_mismatch()
        => await AssertMismatchAsync(step => step with { MemoryOutput = JsonSerializer.SerializeToElement(new object[] { 0x2000, "01" }) }, "at ARGS+0x2000");

    [Fact]
    public async Task A_trace_with_another_return_value_is_a_mismatch()
        => await AssertMismatchAsync(step => step with { ReturnValue = 7 }, "the trace has 7");

    [Fact]
    public async Task A_trace_with_other_bytes_read_is_a_mismatch()
        => await AssertMismatchAsync(step => step is { Read: not null, Data: [.., _, _] } ? step with { Data = $"{step.Data[..^2]}FE" } : step, "the trace has", "queue");

    [Fact]
    public async Task A_trace_with_another_number_of_bytes_written_is_a_mismatch()
        => await AssertMismatchAsync(step => step.Write is null ? step : step with { ReturnValue = step.ReturnValue + 1 }, "the trace has", "queue");

    [Fact]
    public async Task A_trace_with_other_events_of_a_file_is_a_mismatch()
        => await AssertMismatchAsync(step => step.Poll is null ? step : step with { Revents = (ushort)(step.Revents ^ 1) }, "the trace has", "queue");

    [Fact]
    public async Task What_is_left_when_every_descriptor_is_closed_is_found()
    {
        await using var context = await silo.Client.OpenAsync("test");
        await using var driver = await silo.Client.GetDriverAsync(context.Handle, "driver");
        await using var access = await driver.CreateAccessAsync(await context.AllocateIoasAsync());

        var found = await TraceReplayer.EndAsync(silo.Client, new TraceMemory(), new() { [0] = context });

        Assert.Contains(found, end => end.What.Contains("1 accesses with 0 pins are left", StringComparison.Ordinal));
        Assert.Contains(found, end => end.What.Contains("1 references are left", StringComparison.Ordinal));
        Assert.Contains(found, end => end.What.Contains("objects were left", StringComparison.Ordinal));
        Assert.Contains(found, end => end.What.Contains("still there", StringComparison.Ordinal));
    }

    [Fact]
    public void A_line_that_is_no_sequence_is_named_by_file_and_line()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(path, ["{\"group\":\"core\",\"seed\":1,\"steps\":[]}", "{\"group\":"]);
            var error = Assert.Throws<CliException>(() => TraceSequence.Read(path).ToList());
            Assert.Contains($"{path}, line 2", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static string TracePath(string group) => Path.Combine(AppContext.BaseDirectory, "traces", $"{group}.jsonl.gz");

    // Changes what the trace has to the first step of the group that the change applies to, and expects the replay to find it.
    private async Task AssertMismatchAsync(Func<TraceStep, TraceStep> change, string what, string group = "core")
    {
        var (sequence, at) = TraceSequence.Read(TracePath(group))
            .Select(sequence => (sequence, sequence.Steps.ToList().FindIndex(step => step.Open is null && step.Errno == 0 && change(step) != step)))
            .First(found => found.Item2 >= 0);
        var changed = sequence with { Steps = [.. sequence.Steps.Select((step, i) => i == at ? change(step) : step)] };

        var report = await TraceReplayer.ReplayAsync(silo.Client, changed, null, CancellationToken.None);

        var mismatch = Assert.Single(report.Mismatches).Mismatch;
        Assert.Equal(at, mismatch.Step);
        Assert.Contains(what, mismatch.What, StringComparison.Ordinal);
    }
}
