using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.EventQueues;

/// <summary>The files of queues: references to the context, each of which holds its queue.</summary>
internal static class EventQueueFiles
{
    private const string Why = "its open file";

    /// <summary>Opens the file of a queue that is reserved, answers the ioctl that makes the queue, and makes it visible; or undoes both.</summary>
    /// <param name="scope">The context.</param>
    /// <param name="call">The ioctl.</param>
    /// <param name="queue">The queue.</param>
    /// <param name="answer">The ioctl's argument, with the queue's id.</param>
    /// <param name="descriptorOffset">Where the file's descriptor goes in it.</param>
    public static IoctlReply Open<T>(IoctlScope scope, IoctlCommand call, EventQueueEntry queue, in T answer, int descriptorOffset)
        where T : unmanaged
    {
        var taken = scope.Context.GetFile($"file of {queue.Type.Label()} {queue.Id}");
        if (scope.Context.FindDriver(taken.Reference) is not { } reference)
        {
            scope.Context.Objects.AbortAndDestroy(queue);
            return new IoctlReply { Errno = taken.Errno, Diagnostic = taken.Diagnostic };
        }

        Hold.RefToUsers(reference, queue, Why);
        var target = new FileTarget(scope.Grains.Key, reference.Id, queue.Type, queue.Id);
        var reply = call.Respond(in answer, new IoctlReply { File = new NewFile(descriptorOffset, target) });
        if (reply.Errno == Errno.None)
        {
            scope.Context.Objects.Finalize(queue);
            return reply;
        }

        scope.Context.Abort(reference);
        scope.Context.Objects.AbortAndDestroy(queue);
        return reply;
    }
}
