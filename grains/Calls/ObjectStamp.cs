using IommuFd.Grains.Proofs;

namespace IommuFd.Grains.Calls;

/// <summary>
/// Tells which life of an object a call is for. Ids are reused at once after a destroy, and so are grain keys; a stamp is never. Stamps of one key grow:
/// a later life has a greater one, so that a late call of an earlier life can do nothing.
/// </summary>
/// <param name="Epoch">The life of the context: greater in each later one.</param>
/// <param name="Serial">The life of the object within the context's life.</param>
/// <param name="MayBuild">Whether the object may be built by this call. False once a call has been answered: then missing state is lost state.</param>
/// <param name="Build">What it is built of, where it may be and its kind needs that; else null.</param>
/// <param name="Proof">The proof of the silo that has the context. Without a genuine one the call is of no life at all.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectStamp")]
internal readonly record struct ObjectStamp(
    [property: Id(0)] long Epoch, [property: Id(1)] long Serial, [property: Id(2)] bool MayBuild, [property: Id(3)] ObjectBuild? Build = null,
    [property: Id(4)] SiloProof? Proof = null);
