using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring.Health;

/// <summary>Shows that this silo's turns run.</summary>
/// <param name="grains">The silo's grain factory.</param>
public sealed class SiloPulse(IGrainFactory grains)
{
    /// <summary>Runs a turn of a grain on this silo.</summary>
    /// <returns>When the turn has run.</returns>
    public Task BeatAsync() => grains.GetGrain<IPulseGrain>(0).BeatAsync();
}
