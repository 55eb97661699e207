using IommuFd.Grains.Calls;
using IommuFd.Grains.Proofs;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Support;

/// <summary>Services of a silo, for grains that tests call without one: no filter asks for a proof, and no context finds an object near.</summary>
internal static class TestProofs
{
    /// <summary>Objects that their contexts call by messages.</summary>
    public static NearObjects NoneNear { get; } = new(isOn: false);

    public static SiloProofs None { get; } = new(SiloAddress.Zero, _ => Task.FromResult(false), TimeProvider.System, NullLogger.Instance);
}
