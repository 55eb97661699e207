using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A message with one ioctl. Once it has ended, it is used again for the next one.</summary>
internal sealed class LoneIoctl(IoctlCombiner combiner, IContextGrain grain, ContextHandle handle) : IoctlMessage<IoctlReply>
{
    private const int AnswersBetweenYields = 16;

    private int _ended;

    /// <summary>The ioctl.</summary>
    public ICombinedIoctl Ioctl { get; set; } = null!;

    protected override ValueTask<IoctlReply> CallAsync() => grain.IoctlAsync(handle, Ioctl.Request, Ioctl.Operation);

    protected override void End(IoctlReply? reply, Exception? failure, bool isImmediate)
    {
        var (ioctl, yields) = (Ioctl, ++_ended % AnswersBetweenYields == 0);
        combiner.SendNext(after: this);
        if (yields && reply is not null)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static answered => answered.ioctl.Answer(answered.reply), (ioctl, reply), preferLocal: false);
        }
        else if (reply is not null)
        {
            ioctl.Answer(reply);
        }
        else
        {
            ioctl.Fail(failure!, isImmediate, isShared: false);
        }
    }
}
