using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Contexts;

/// <summary>A volatile context on its way to another silo.</summary>
/// <param name="Snapshot">The context.</param>
/// <param name="Epoch">The epoch that its objects' grains had; the next one is greater.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextPackage")]
internal sealed record ContextPackage([property: Id(0)] ContextSnapshot Snapshot, [property: Id(1)] long Epoch);

/// <summary>What a silo that stops asks of its contexts.</summary>
[Alias("IommuFd.IContextHandover")]
internal interface IContextHandover : IGrainWithGuidKey
{
    /// <summary>Moves the context to another silo, where it is a volatile one. Who calls it meanwhile is told to call again.</summary>
    /// <param name="destination">The silo.</param>
    /// <returns>When it is ready to go.</returns>
    [Alias("HandOver")]
    Task HandOverAsync(SiloAddress destination);
}
