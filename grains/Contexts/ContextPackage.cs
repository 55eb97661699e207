using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Contexts;

/// <summary>A volatile context on its way to another silo.</summary>
/// <param name="Snapshot">The context with the state of its objects' grains.</param>
/// <param name="Epoch">The epoch of its objects' grains on the old silo; they get a greater one on the new silo.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextPackage")]
internal sealed record ContextPackage([property: Id(0)] ContextSnapshot Snapshot, [property: Id(1)] long Epoch);
