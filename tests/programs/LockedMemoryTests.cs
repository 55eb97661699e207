using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>Limits of locked memory, as <c>iommufd run --memlock</c> sets them.</summary>
[Collection(GatewayCollection.Name)]
public sealed class LockedMemoryTests
{
    [Fact]
    public async Task A_program_may_pin_as_much_as_its_limit_and_more_is_ENOMEM_and_changes_nothing()
    {
        var outcome = await Programs.RunCommandAsync(null, "--memlock", "64K", "--", Programs.Built("test-locked"));

        Assert.True(outcome.Status == 0, $"tests/bridge/locked.c: {outcome}");
    }

    [Fact]
    public async Task The_callers_own_limit_is_that_of_its_process()
    {
        var outcome = await Programs.RunCommandAsync(
            null, "--memlock", "caller", "--", "sh", "-c", $"ulimit -l 64; exec {Programs.Built("test-locked")} caller");

        Assert.True(outcome.Status == 0, $"tests/bridge/locked.c: {outcome}");
    }

    [Fact]
    public async Task Without_limits_all_of_it_may_be_pinned()
    {
        var outcome = await Programs.RunCommandAsync(null, "--trace", "--", Programs.Built("test-locked"));

        Assert.True(outcome.Status == 1, $"tests/bridge/locked.c, which expects a limit: {outcome}");
        Assert.Contains("attaching to more than the limit: expected 0, got ", outcome.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_trace_says_how_much_is_locked_and_what_may_be()
    {
        var outcome = await Programs.RunCommandAsync(null, "--memlock", "64K", "--trace", "--", Programs.Built("test-locked"));

        Assert.Contains("68 KiB of memory would be locked, and RLIMIT_MEMLOCK is 64 KiB: raise it, or unmap or detach first", outcome.Errors, StringComparison.Ordinal);
        Assert.Contains("setting RLIMIT_MODE needs CAP_SYS_RESOURCE, which the program lacks", outcome.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("8X")]
    [InlineData("-1")]
    [InlineData("5000G")]
    public async Task A_limit_that_is_none_says_so(string limit)
    {
        var outcome = await Programs.RunCommandAsync(null, "--memlock", limit, "--", "true");

        Assert.Equal(125, outcome.Status);
        Assert.Contains($"Gateway:LockedMemory is '{limit}'; it can be a size up to 4096G, as 8M, or 'caller'", outcome.Errors, StringComparison.Ordinal);
    }
}
