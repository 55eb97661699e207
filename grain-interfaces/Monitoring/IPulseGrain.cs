namespace IommuFd.GrainInterfaces;

/// <summary>A grain that does nothing, on each silo: its turn shows that the silo's turns run.</summary>
/// <remarks>It is a stateless worker: the silo that is called runs the turn, and an Orleans client calls its gateways one after the other.</remarks>
[Alias("IommuFd.IPulseGrain")]
internal interface IPulseGrain : IGrainWithIntegerKey
{
    /// <summary>Completes with its turn.</summary>
    [Alias("Beat")]
    Task BeatAsync();
}
