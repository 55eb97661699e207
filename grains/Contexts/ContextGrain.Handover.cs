using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using Orleans.Runtime.Placement;

namespace IommuFd.Grains.Contexts;

// A durable context recovers from its journal on the silo that its next call activates it on. A volatile context is in its silo's memory
// alone: where the silo stops in order, a snapshot is taken between two turns and restored on another silo, by Orleans' migration of
// activations. The snapshot has the state of the objects' grains too: by themselves they would deactivate each at its own time. A small
// one travels with the activation, a larger one ahead of it, in pieces (ContextTransfer).

/// <content>How a volatile context moves from a stopping silo to another one.</content>
internal sealed partial class ContextGrain : IGrainMigrationParticipant
{
    private const string PackageKey = "IommuFd.Context";
    private const string TransferKey = "IommuFd.ContextTransfer";

    private ContextPackage? _package;
    private ContextTransfer? _transfer;

    private async Task HandOverAsync(SiloAddress destination)
    {
        if (Context is not { IsOpen: true, Mode: ContextMode.Volatile } context || _grains is not { } grains)
        {
            return;
        }

        var snapshot = await ContextSnapshots.CaptureAsync(context, grains);
        if (grains.HasLost)
        {
            // A part of the context is lost already. It stays here: requests that need that part get EIO.
            return;
        }

        // Where the package can't be sent ahead, the context is still here, and can go to another silo.
        var package = new ContextPackage(snapshot, grains.Epoch);
        RequestContext.Set(IPlacementDirector.PlacementHintKey, destination);
        _transfer = await ContextTransfer.SendAsync(package, serializer, GrainFactory, proofs.Own);
        _package = _transfer is null ? package : null;
        MoveAway();
        MigrateOnIdle();
        await grains.EndAllAsync();
        logger.ContextHandedOver(Key.Tag, destination.ToString(), context.Objects.Count);
    }

    public void OnDehydrate(IDehydrationContext dehydrationContext)
    {
        if (_package is not null)
        {
            dehydrationContext.TryAddValue(PackageKey, _package);
        }

        if (_transfer is not null)
        {
            dehydrationContext.TryAddValue(TransferKey, _transfer);
        }
    }

    public void OnRehydrate(IRehydrationContext rehydrationContext)
    {
        rehydrationContext.TryGetValue(PackageKey, out _package);
        rehydrationContext.TryGetValue(TransferKey, out _transfer);
    }

    // Restores the context that another silo hands over; false where this activation is no such context's.
    private async Task<bool> TryArriveAsync()
    {
        if ((_package, _transfer) is (null, null))
        {
            return false;
        }

        var package = _package ?? await _transfer!.ReceiveAsync(serializer, GrainFactory, proofs.Own)
            ?? throw _journal.Deactivate("what another silo handed over has not arrived whole");

        // The clock of the other silo may be ahead of this one's.
        var grains = new ObjectGrains(Reach, Key, Math.Max(time.GetUtcNow().UtcTicks, package.Epoch + 1), logger);
        var context = await ContextSnapshots.RestoreAsync(package.Snapshot, grains, ObjectKinds.All);
        (_package, _transfer) = (null, null);
        if (grains.HasLost)
        {
            throw _journal.Deactivate("the grain of an object failed while it was handed over");
        }

        Resume(context, grains);
        return true;
    }
}
