using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using Orleans.Runtime.Placement;

namespace IommuFd.Grains.Contexts;

// A durable context recovers from its journal on the silo that its next call activates it on. A volatile context is in its silo's memory
// alone: where the silo stops in order, a snapshot is taken between two turns and restored on another silo, by Orleans' migration of
// activations. The snapshot has the state of the objects' grains too: by themselves they would deactivate each at its own time.

/// <content>How a volatile context moves from a stopping silo to another one.</content>
internal sealed partial class ContextGrain : IGrainMigrationParticipant
{
    private const string PackageKey = "IommuFd.Context";

    private ContextPackage? _package;

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

        _package = new ContextPackage(snapshot, grains.Epoch);
        MoveAway();
        RequestContext.Set(IPlacementDirector.PlacementHintKey, destination);
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
    }

    public void OnRehydrate(IRehydrationContext rehydrationContext) => rehydrationContext.TryGetValue(PackageKey, out _package);

    // Restores the context that another silo hands over; false where this activation is no such context's.
    private async Task<bool> TryArriveAsync()
    {
        if (_package is not { } package)
        {
            return false;
        }

        // The clock of the other silo may be ahead of this one's.
        var grains = new ObjectGrains(GrainFactory, proofs.Own, Key, Math.Max(time.GetUtcNow().UtcTicks, package.Epoch + 1), logger);
        var context = await ContextSnapshots.RestoreAsync(package.Snapshot, grains, ObjectKinds.All);
        _package = null;
        if (grains.HasLost)
        {
            throw _journal.Deactivate("the grain of an object failed while it was handed over");
        }

        Resume(context, grains);
        return true;
    }
}
