using IommuFd.Grains.Proofs;

namespace IommuFd.Grains.Contexts;

/// <summary>
/// What one silo hands over of a context, until the context's activation on the other silo takes it. Its key is the transfer's id, a random
/// number. Without the proof of a silo, nothing is added, taken or ended.
/// </summary>
[Alias("IommuFd.IHandoverBox")]
internal interface IHandoverBox : IGrainWithGuidKey
{
    /// <summary>Adds a piece.</summary>
    /// <param name="proof">The proof of the calling silo.</param>
    /// <param name="number">Its number: 0 for the first, and 1 more for each next.</param>
    /// <param name="piece">The piece.</param>
    /// <returns>False where it is not the next one: another was lost, and the transfer with it.</returns>
    [Alias("Add")]
    ValueTask<bool> AddAsync(SiloProof proof, int number, [Immutable] byte[] piece);

    /// <summary>Takes a piece out.</summary>
    /// <param name="proof">The proof of the calling silo.</param>
    /// <param name="number">Its number. They are taken in order.</param>
    /// <returns>The piece; null where it is not here.</returns>
    [Alias("Take")]
    ValueTask<byte[]?> TakeAsync(SiloProof proof, int number);

    /// <summary>Ends the transfer: all was taken, or it was given up.</summary>
    /// <param name="proof">The proof of the calling silo.</param>
    /// <returns>When it has ended.</returns>
    [Alias("End")]
    Task EndAsync(SiloProof proof);
}
