using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A message with several ioctls.</summary>
internal sealed class IoctlsTogether(IoctlCombiner combiner, IContextGrain grain, ContextHandle handle, List<ICombinedIoctl> ioctls) : IoctlMessage<IoctlBatchReply>, IThreadPoolWorkItem
{
    private IoctlBatchReply? _reply;
    private Exception? _failure;
    private bool _isImmediate;
    private int _handedOut;
    private int _isHelped;

    protected override ValueTask<IoctlBatchReply> CallAsync()
    {
        var group = new IoctlGroup { Requests = new IoctlRequest[ioctls.Count], Operations = new OperationId[ioctls.Count] };
        for (var i = 0; i < ioctls.Count; i++)
        {
            (group.Requests[i], group.Operations[i]) = (ioctls[i].Request, ioctls[i].Operation);
        }

        return grain.IoctlGroupAsync(handle, group);
    }

    protected override void End(IoctlBatchReply? reply, Exception? failure, bool isImmediate)
    {
        (_reply, _failure, _isImmediate) = (reply, failure, isImmediate);
        if (reply is not null && reply.Replies.Length != ioctls.Count)
        {
            _failure = new InvalidOperationException($"A group of {ioctls.Count} ioctls got {reply.Replies.Length} answers ({reply.Errno}).");
        }

        combiner.SendNext(after: this);
        Execute();
    }

    /// <summary>Hands out answers, beside the other threads that do.</summary>
    public void Execute()
    {
        Volatile.Write(ref _isHelped, 0);
        for (int next; (next = Interlocked.Increment(ref _handedOut) - 1) < ioctls.Count;)
        {
            if (next < ioctls.Count - 1 && Interlocked.Exchange(ref _isHelped, 1) == 0)
            {
                ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
            }

            if (_failure is null)
            {
                ioctls[next].Answer(_reply!.Replies[next]);
            }
            else
            {
                ioctls[next].Fail(_failure, _isImmediate, isShared: true);
            }
        }
    }
}
