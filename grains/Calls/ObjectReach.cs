using IommuFd.Grains.Proofs;

namespace IommuFd.Grains.Calls;

/// <summary>What a context reaches its objects by.</summary>
/// <param name="Factory">Finds their grains.</param>
/// <param name="Proof">The proof of the context's silo; null where nobody checks it.</param>
/// <param name="Near">The activations that are on the context's silo; null where all calls go by messages.</param>
internal sealed record ObjectReach(IGrainFactory Factory, SiloProof? Proof, NearObjects? Near = null);
