using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

/// <summary>Batches and puts: what they do to a context, whether a caller sends them or recovery replays them.</summary>
internal static class ContextOperations
{
    // Holders that the diagnostics of a batch list, all together.
    private const int MaxBatchHolders = IoctlLimits.MaxListed * IoctlLimits.MaxListed;

    /// <summary>Runs ioctls in order.</summary>
    public static async ValueTask<IoctlBatchReply> BatchAsync(IoctlScope scope, IoctlBatchRequest request)
    {
        var requests = request.Requests;
        var replies = new List<IoctlReply>(requests.Length);
        while (replies.Count < requests.Length && !(request.StopAtFirstError && replies.Count > 0 && replies[^1].Errno != Errno.None))
        {
            replies.Add(await IoctlDispatcher.DispatchAsync(scope, requests[replies.Count]));
        }

        return new IoctlBatchReply { Replies = Listed([.. replies]) };
    }

    /// <summary>Replies that travel together. Their diagnostics are for people: all of them list as many holders as fit on a page, and still count the others.</summary>
    public static IoctlReply[] Listed(IoctlReply[] replies)
    {
        var listed = 0;
        for (var i = 0; i < replies.Length; i++)
        {
            if (replies[i].Diagnostic is { Holders.Length: > 0 } diagnostic && (listed += diagnostic.Holders.Length) > MaxBatchHolders)
            {
                replies[i] = replies[i].With(diagnostic.WithoutHolders());
            }
        }

        return replies;
    }

    /// <summary>Whether a batch has changed the context, or may have, given its answer.</summary>
    public static bool Changes(IoctlBatchRequest request, IoctlBatchReply reply)
    {
        for (var i = 0; i < reply.Replies.Length; i++)
        {
            if (IoctlDispatcher.Changes(request.Requests[i], reply.Replies[i]))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Puts a reference. What a driver has made ends with its reference. The last reference releases everything at once, which is left to
    /// the caller.
    /// </summary>
    /// <returns>EBADF without such a reference. Where it was the last, the context is no longer open and the caller releases it.</returns>
    public static async ValueTask<Errno> PutAsync(IoctlScope scope, ReferenceId reference)
    {
        if (scope.Context.References.Count > 1 && scope.Context.FindDriver(reference) is { } driver)
        {
            await DriverHandler.ReleaseDriverObjectsAsync(scope, driver);
        }

        return scope.Context.Put(reference);
    }
}
