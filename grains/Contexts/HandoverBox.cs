using IommuFd.Grains.Proofs;

namespace IommuFd.Grains.Contexts;

/// <inheritdoc cref="IHandoverBox"/>
/// <remarks>A transfer that nobody goes on with is dropped as any idle grain, so that a silo that died meanwhile leaves nothing behind.</remarks>
[CollectionAgeLimit(Minutes = 5)]
internal sealed class HandoverBox(SiloProofs proofs) : Grain, IHandoverBox
{
    private readonly Queue<byte[]> _pieces = [];
    private int _added;

    public async ValueTask<bool> AddAsync(SiloProof proof, int number, byte[] piece)
    {
        if (!await AdmitsAsync(proof) || number != _added)
        {
            return false;
        }

        _pieces.Enqueue(piece);
        _added++;
        return true;
    }

    public async ValueTask<byte[]?> TakeAsync(SiloProof proof, int number)
        => await AdmitsAsync(proof) && number == _added - _pieces.Count && _pieces.TryDequeue(out var piece) ? piece : null;

    public async Task EndAsync(SiloProof proof)
    {
        if (await AdmitsAsync(proof))
        {
            DeactivateOnIdle();
        }
    }

    // A call that is not admitted leaves no activation behind, unless a silo's has made one.
    private async ValueTask<bool> AdmitsAsync(SiloProof proof)
    {
        var isAdmitted = proofs.IsKnown(proof) || await proofs.IsGenuineAsync(proof, this.GetGrainId());
        if (!isAdmitted && _added == 0)
        {
            DeactivateOnIdle();
        }

        return isAdmitted;
    }
}
