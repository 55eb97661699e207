using IommuFd.Grains.Proofs;

namespace IommuFd.Grains.Calls;

/// <summary>What the activation of an object's grain gets from its silo. An object that its context keeps has no activation, and none of this.</summary>
/// <param name="Accessor">Knows the activation that is being made.</param>
/// <param name="Proofs">Checks who calls.</param>
/// <param name="Near">Where the activation and its context find each other.</param>
internal sealed record ObjectHost(IGrainContextAccessor Accessor, SiloProofs Proofs, NearObjects Near);
