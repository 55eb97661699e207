using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

// DESTROY is decided in this order: no entry is ENOENT; an edge in the table is EBUSY, with names and without a call; an object that no
// grain knows goes at once; else its grain decides in the call that ends it. Where that counts users that the table does not know, one of
// the two is wrong, which is a bug: the object stays, and a durable context's activation leaves.

/// <summary>IOMMU_DESTROY.</summary>
internal static class DestroyHandler
{
    /// <summary>ENOENT without such an object, EBUSY where it is held, else the object is gone when this answers.</summary>
    public static ValueTask<IoctlReply> Destroy(IoctlScope scope, IoctlCommand call)
    {
        var id = call.Read<IommuDestroy>().Id;
        return scope.Context.Objects.Find(id) switch
        {
            null => ValueTask.FromResult(Failure.ObjectNotFound(scope.Context.Objects, id)),
            { Users: > 1 } held => ValueTask.FromResult(Failure.ObjectHeld(held)),
            var entry => EndAsync(scope, entry),
        };
    }

    private static ValueTask<IoctlReply> EndAsync(IoctlScope scope, ObjectEntry entry)
    {
        var ending = scope.Grains.DestroyAsync(entry);
        if (!ending.IsCompletedSuccessfully)
        {
            return AwaitAsync(scope, entry, ending);
        }

        var ended = ending.Result;
        if (!ended.Succeeded)
        {
            return ValueTask.FromResult(ended.ToReply());
        }

        var destroying = GrainKind.Of(entry).DestroyAsync(scope, entry);
        if (!destroying.IsCompletedSuccessfully)
        {
            return RemoveAsync(scope, entry, destroying);
        }

        scope.Remove(entry);
        return ValueTask.FromResult(IoctlReply.Success);
    }

    private static async ValueTask<IoctlReply> AwaitAsync(IoctlScope scope, ObjectEntry entry, ValueTask<OperationResult> ending)
    {
        var ended = await ending;
        return ended.Succeeded ? await RemoveAsync(scope, entry, GrainKind.Of(entry).DestroyAsync(scope, entry)) : ended.ToReply();
    }

    private static async ValueTask<IoctlReply> RemoveAsync(IoctlScope scope, ObjectEntry entry, ValueTask destroying)
    {
        await destroying;
        scope.Remove(entry);
        return IoctlReply.Success;
    }
}
