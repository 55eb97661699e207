using System.Text.Json;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>What <c>iommufd run --trace</c> writes.</summary>
[Collection(GatewayCollection.Name)]
public sealed class TraceTests(GatewayFixture gateway)
{
    [Fact]
    public async Task A_trace_says_what_each_call_did_and_who_holds_what_is_busy()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--trace", "--", Programs.Built("busy"));

        Assert.True(outcome.Status == 0, $"examples/busy: {outcome}");
        var lines = outcome.Errors.TrimEnd().Split('\n');
        Assert.Matches(@"^\[pid \d+\] open\(/dev/iommu\) = 3 <[\d.]+ .?s>$", lines[0]);
        Assert.Matches(@"^\[pid \d+\] ioctl\(3, IOMMU_IOAS_ALLOC, \{size=12, flags=0x0\}\) = 0 \{out_ioas_id=1\} <", lines[1]);
        Assert.Matches(@"ioctl\(3, IOMMU_DESTROY, \{size=8, id=1\}\) = -1 EBUSY \(Device or resource busy\): IOAS 1 is held by HWPT \d+ ", lines[^1]);
    }

    [Fact]
    public async Task A_trace_in_JSON_has_an_object_in_each_line()
    {
        var file = gateway.NewFile();
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--json", "-o", file, "--", Programs.Built("busy"));

        Assert.True(outcome.Status == 0, $"examples/busy: {outcome}");
        Assert.Equal("", outcome.Errors);
        var calls = (await File.ReadAllLinesAsync(file)).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal("open", calls[0].GetProperty("call").GetString());
        Assert.Equal(1, calls[1].GetProperty("answer").GetProperty("out_ioas_id").GetInt32());
        var destroy = calls.Single(call => call.TryGetProperty("command", out var command) && command.GetString() == "IOMMU_DESTROY");
        Assert.Equal((-1, "EBUSY", 1), (destroy.GetProperty("result").GetInt32(), destroy.GetProperty("errno").GetString(), destroy.GetProperty("argument").GetProperty("id").GetInt32()));
        Assert.StartsWith("IOAS 1 is held by HWPT", destroy.GetProperty("why").GetString(), StringComparison.Ordinal);
        Assert.Equal(Programs.Built("busy"), destroy.GetProperty("caller").GetProperty("file").GetString());
    }

    [Fact]
    public async Task A_trace_has_the_fields_of_each_op_of_the_selftest()
    {
        var file = gateway.NewFile();
        var text = await Programs.RunCommandAsync(gateway.Socket, "--trace", "--", Programs.Built("attach"));
        var json = await Programs.RunCommandAsync(gateway.Socket, "--json", "-o", file, "--", Programs.Built("attach"));

        Assert.True(text.Status == 0 && json.Status == 0, $"examples/attach: {text}\n{json}");
        Assert.Matches(@"IOMMU_TEST_CMD, \{size=72, op=MOCK_DOMAIN, id=1, last=0\}\) = 0 \{mock_domain\.out_stdev_id=\d+, mock_domain\.out_hwpt_id=\d+, mock_domain\.out_idev_id=\d+\}", text.Errors);
        var answer = (await File.ReadAllLinesAsync(file)).Select(line => JsonDocument.Parse(line).RootElement)
            .First(call => call.TryGetProperty("command", out var command) && command.GetString() == "IOMMU_TEST_CMD").GetProperty("answer");
        Assert.Equal(2, answer.GetProperty("op").GetInt32());
        Assert.True(answer.GetProperty("mock_domain").GetProperty("out_idev_id").GetInt32() > 0, $"The answer has no device: {answer}");
    }

    [Fact]
    public async Task A_trace_has_the_fields_of_the_type1_ioctls_and_integers_that_are_no_pointers()
    {
        var file = gateway.NewFile();
        var outcome = await Programs.RunAsync([.. Programs.Command, "-o", file, "--", Programs.Built("replay")], new() { ["IOMMUFD_SOCKET"] = gateway.Socket }, Programs.FeedTraces("vfio"));

        Assert.True(outcome.Status == 0, $"replay of the group vfio: {outcome}");
        var lines = await File.ReadAllLinesAsync(file);
        Assert.Contains(lines, line => line.Contains("VFIO_CHECK_EXTENSION, {arg=1})", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("VFIO_IOMMU_MAP_DMA, {argsz=32, flags=0x3, vaddr=0x1000", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_trace_of_16_threads_misses_no_call()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--trace", "--leak-check=report", "--", Programs.Built("test-threads"));

        Assert.True(outcome.Status == 0, $"tests/bridge/threads.c: {outcome}");
        var lines = outcome.Errors.Split('\n');
        Assert.Contains(lines, line => line.Contains(" thread ", StringComparison.Ordinal));

        // Every descriptor that was opened was closed, and each close is there.
        Assert.Equal(
            lines.Count(line => line.Contains("open(/dev/iommu) = ", StringComparison.Ordinal) && !line.Contains("= -1", StringComparison.Ordinal)),
            lines.Count(line => line.Contains("(last copy)", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_trace_of_many_ioctls_misses_none()
    {
        var file = gateway.NewFile();
        var outcome = await Programs.RunAsync([.. Programs.Command, "-o", file, "--", Programs.Built("replay")], new() { ["IOMMUFD_SOCKET"] = gateway.Socket }, Programs.FeedTraces("core"));

        Assert.True(outcome.Status == 0, $"replay of the group core: {outcome}");
        var lines = await File.ReadAllLinesAsync(file);
        Assert.Equal(17_288, lines.Count(line => line.Contains("] ioctl(", StringComparison.Ordinal)));
    }
}
