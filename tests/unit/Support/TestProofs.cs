using IommuFd.Grains.Proofs;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Support;

/// <summary>Proofs for grains that tests call without a silo, and so without the filter that asks for one.</summary>
internal static class TestProofs
{
    public static SiloProofs None { get; } = new(SiloAddress.Zero, _ => Task.FromResult(false), TimeProvider.System, NullLogger.Instance);
}
