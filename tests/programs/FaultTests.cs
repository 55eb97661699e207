using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>Calls that <c>iommufd run</c> makes fail.</summary>
[Collection(GatewayCollection.Name)]
public sealed class FaultTests(GatewayFixture gateway)
{
    [Theory]
    [InlineData("IOAS_MAP=EPERM", "IOMMU_IOAS_MAP", "-1 EPERM")]
    [InlineData("IOMMU_IOAS_ALLOC", "IOMMU_IOAS_ALLOC", "-1 ENOMEM")]
    [InlineData("open=EACCES", "open(/dev/iommu)", "-1 EACCES")]
    public async Task A_call_that_is_to_fail_fails_and_the_trace_says_so(string rule, string call, string answer)
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--fail", rule, "--trace", "--", Programs.Built("map"));

        Assert.True(outcome.Status != 0, $"examples/map with --fail {rule} should have failed: {outcome}");
        Assert.Contains(outcome.Errors.Split('\n'), line => line.Contains(call, StringComparison.Ordinal) && line.Contains(answer, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Only_the_call_of_that_number_fails()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--fail", "IOAS_ALLOC:2=EIO", "--trace", "--", Programs.Built("busy"));

        var allocations = outcome.Errors.Split('\n').Where(line => line.Contains("IOMMU_IOAS_ALLOC", StringComparison.Ordinal)).Select(line => line.Contains("-1 EIO", StringComparison.Ordinal)).ToList();
        Assert.True(allocations is [false, true], $"IOAS_ALLOCs of examples/busy, whether they failed: {string.Join(", ", allocations)}; {outcome}");
    }

    [Fact]
    public async Task The_nth_failure_point_fails()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--fail-nth", "3", "--trace", "--", Programs.Built("map"));

        Assert.Contains("failure point 2 of the ioctl was made to fail, as asked", outcome.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("NO_SUCH=EIO", "no command is called 'NO_SUCH'")]
    [InlineData("IOAS_MAP:0", "'0' is no number from 1 on")]
    [InlineData("IOAS_MAP=NO", "there is no errno 'NO'")]
    public async Task A_rule_that_can_t_be_read_says_why(string rule, string why)
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--fail", rule, "--", "true");

        Assert.Equal(125, outcome.Status);
        Assert.Contains(why, outcome.Errors, StringComparison.Ordinal);
    }
}
