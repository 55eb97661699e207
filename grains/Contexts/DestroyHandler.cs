using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Contexts;

/// <summary>IOMMU_DESTROY.</summary>
internal static class DestroyHandler
{
    /// <summary>ENOENT without such an object, EBUSY where somebody holds it, else the object is gone when this answers.</summary>
    public static ValueTask<IoctlReply> Destroy(IoctlScope scope, IoctlCall call)
    {
        var cmd = call.Read<IommuDestroy>();
        return scope.Context.Remove(cmd.Id, out var entry) switch
        {
            Errno.ENOENT => ValueTask.FromResult(Failure.ObjectNotFound(scope.Context.Objects, cmd.Id)),
            Errno.EBUSY => ValueTask.FromResult(Failure.ObjectHeld(entry!)),
            _ => EndAsync(scope.Grains, entry!),
        };
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
