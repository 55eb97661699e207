using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using Orleans.Runtime.Placement;

namespace IommuFd.Grains.Contexts;

// A durable context comes back from its journal, wherever it is called. A volatile one is in its silo's memory alone: where the silo stops in order, it is written down between two turns
// and made again on another silo, by Orleans' migration of activations. Its object grains would leave their silo by themselves, each at its time, so what they have travels with the context.

/// <content>How a volatile context moves from a silo that stops to another one.</content>
internal sealed partial class ContextGrain : IContextHandover, IGrainMigrationParticipant
{
    private const string PackageKey = "IommuFd.Context";

    private ContextPackage? _package;

    public async Task HandOverAsync(SiloAddress destination)
    {
        if (_context is not { IsOpen: true, Mode: ContextMode.Volatile } context || _grains is not { } grains)
        {
            return;
        }

        var snapshot = await ContextSnapshots.CaptureAsync(context, grains);
        if (grains.HasLost)
        {
            // Some of it is lost already. It stays, and says so to whoever asks for that.
            return;
        }

        _package = new ContextPackage(snapshot, grains.Epoch);
        (_context, _unavailable) = (null, "its silo stops, and it moves to another");
        CountNoMore();
        RequestContext.Set(IPlacementDirector.PlacementHintKey, destination);
        MigrateOnIdle();
        await grains.EndAllAsync();
        logger.ContextHandedOver(Handle.ToShortString(), destination.ToString(), context.Objects.Count);
    }

    public void OnDehydrate(IDehydrationContext dehydrationContext)
    {
        if (_package is not null)
        {
            dehydrationContext.TryAddValue(PackageKey, _package);
        }
    }

    public void OnRehydrate(IRehydrationContext rehydrationContext) => rehydrationContext.TryGetValue(PackageKey, out _package);

    private async Task ArriveAsync(ContextPackage package)
    {
        // The clock of the silo that it came from may have been ahead of this one's.
        _grains = new ObjectGrains(GrainFactory, Handle, Math.Max(time.GetUtcNow().UtcTicks, package.Epoch + 1), logger);
        var context = await ContextSnapshots.RestoreAsync(package.Snapshot, _grains, ObjectKinds.All);
        _package = null;
        if (_grains.HasLost)
        {
            throw Abandon("the grain of an object failed while it was handed over");
        }

        Resume(context);
    }
}
