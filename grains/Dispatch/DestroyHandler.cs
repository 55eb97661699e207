using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

/// <summary>IOMMU_DESTROY.</summary>
internal static class DestroyHandler
{
    /// <summary>ENOENT without such an object, EBUSY where somebody holds it, else the object is gone when this answers.</summary>
    public static ValueTask<IoctlReply> Destroy(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuDestroy>();
        if (scope.Context.Objects.Find(cmd.Id) is { Users: 1 } entry && ObjectTypes.Get(entry.Type).Destroy is { } destroy)
        {
            return DestroyAsync(scope, entry, destroy);
        }

        return scope.Context.Remove(cmd.Id, out var removed) switch
        {
            Errno.ENOENT => ValueTask.FromResult(Failure.ObjectNotFound(scope.Context.Objects, cmd.Id)),
            Errno.EBUSY => ValueTask.FromResult(Failure.ObjectHeld(removed!)),
            _ => EndAsync(scope.Grains, removed!),
        };
    }

    private static async ValueTask<IoctlReply> DestroyAsync(IoctlScope scope, ObjectEntry entry, Func<IoctlScope, ObjectEntry, ValueTask<OperationResult>> destroy)
    {
        var result = await destroy(scope, entry);
        if (!result.Succeeded)
        {
            return result.ToReply();
        }

        await scope.RemoveAsync(entry);
        return IoctlReply.Success;
    }

    private static ValueTask<IoctlReply> EndAsync(ObjectGrains grains, ObjectEntry entry)
    {
        var ending = grains.DestroyAsync(entry);
        return ending.IsCompletedSuccessfully ? ValueTask.FromResult(IoctlReply.Success) : AwaitAsync(ending);

        static async ValueTask<IoctlReply> AwaitAsync(ValueTask ending)
        {
            await ending;
            return IoctlReply.Success;
        }
    }
}
