namespace IommuFd.Grains.Monitoring.Health;

/// <summary>A grain that does nothing, on each silo: its turn shows that the silo's turns run.</summary>
[Alias("IommuFd.IPulseGrain")]
internal interface IPulseGrain : IGrainWithIntegerKey
{
    /// <summary>Completes with its turn.</summary>
    [Alias("Beat")]
    Task BeatAsync();
}
