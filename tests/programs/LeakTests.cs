using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>What <c>iommufd run --leak-check</c> says at the program's end.</summary>
[Collection(GatewayCollection.Name)]
public sealed class LeakTests(GatewayFixture gateway)
{
    [Fact]
    public async Task A_report_names_each_object_that_was_left_and_the_line_that_made_it()
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--leak-check=report", "--", Programs.Built("busy"));

        Assert.True(outcome.Status == 0, $"examples/busy: {outcome}");
        Assert.Contains("4 objects left for close to clean up, in 1 context", outcome.Errors, StringComparison.Ordinal);
        Assert.Matches(@"descriptor 3 of process \d+, opened at main \(.*busy\.c:\d+\), ended by exit", outcome.Errors);
        Assert.Matches(@"IOAS 1, IOAS 2, made by IOMMU_IOAS_ALLOC at leak_an_ioas \(.*busy\.c:\d+\)", outcome.Errors);
        Assert.Matches(@"device \d+, made by IOMMU_TEST_CMD at main \(.*busy\.c:\d+\)", outcome.Errors);
    }

    [Theory]
    [InlineData("busy", 99)]
    [InlineData("map", 0)]
    [InlineData("attach", 0)]
    public async Task A_leak_can_be_an_error(string example, int status)
    {
        var outcome = await Programs.RunCommandAsync(gateway.Socket, "--leak-check=error", "--", Programs.Built(example));

        Assert.True(outcome.Status == status, $"examples/{example} is to end with {status}: {outcome}");
    }

    [Fact]
    public async Task A_program_that_fails_keeps_its_status_though_it_leaks()
        => Assert.Equal(3, (await Programs.RunCommandAsync(gateway.Socket, "--leak-check=error", "--", "sh", "-c", $"{Programs.Built("busy")}; exit 3")).Status);
}
