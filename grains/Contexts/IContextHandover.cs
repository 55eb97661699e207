using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Contexts;

/// <summary>A volatile context on its way to another silo.</summary>
/// <param name="Snapshot">The context with the state of its objects' grains.</param>
/// <param name="Epoch">The epoch of its objects' grains on the old silo; they get a greater one on the new silo.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextPackage")]
internal sealed record ContextPackage([property: Id(0)] ContextSnapshot Snapshot, [property: Id(1)] long Epoch);

/// <summary>What a stopping silo asks of its contexts.</summary>
[Alias("IommuFd.IContextHandover")]
internal interface IContextHandover : IGrainWithGuidKey
{
    /// <summary>
    /// Moves a volatile context to another silo. Calls that arrive meanwhile throw <see cref="ContextUnavailableException"/>, and their
    /// callers send them again.
    /// </summary>
    /// <param name="destination">The silo.</param>
    /// <returns>When the context is ready to move. Where that fails, it is where it was.</returns>
    [Alias("HandOver")]
    [ResponseTimeout("00:10:00")]
    Task HandOverAsync(SiloAddress destination);
}
