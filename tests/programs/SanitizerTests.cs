using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>The test programs with a library and a supervisor that AddressSanitizer and UndefinedBehaviorSanitizer watch. What uses devices is in <see cref="DeviceTests"/>.</summary>
[Collection(GatewayCollection.Name)]
public sealed class SanitizerTests(GatewayFixture gateway)
{
    [Theory]
    [MemberData(nameof(BridgeTests.TestPrograms), MemberType = typeof(BridgeTests))]
    public async Task Nothing_is_found_in_the_library(string name)
    {
        var outcome = await Programs.RunSanitizedAsync(gateway.Socket, Programs.Built($"test-{name}"));

        Assert.True(outcome.Status == 0, $"tests/bridge/{name}.c with sanitizers: {outcome}");
    }

    [Theory]
    [MemberData(nameof(BridgeTests.TestPrograms), MemberType = typeof(BridgeTests))]
    public async Task Nothing_is_found_in_the_supervisor(string name)
    {
        var outcome = await Programs.RunSanitizedSupervisorAsync(gateway.Socket, Programs.Built($"test-{name}-static"));

        Assert.True(outcome.Status == 0, $"tests/bridge/{name}.c, built statically, under a supervisor with sanitizers: {outcome}");
    }
}
