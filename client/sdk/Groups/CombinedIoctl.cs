using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>An ioctl of another process's SDK, which travels from here with those of its context that are under way.</summary>
internal sealed class CombinedIoctl(IoctlRequest request, OperationId operation) : TaskCompletionSource<IoctlReply>, ICombinedIoctl
{
    IoctlRequest ICombinedIoctl.Request => request;

    OperationId ICombinedIoctl.Operation => operation;

    bool ICombinedIoctl.IsAwaited => true;

    /// <summary>Sends an ioctl. One that has no name, or is repeated, goes alone: the SDK at the other end repeats what it gets no answer to.</summary>
    public static Task<IoctlReply> SendAsync(ContextCalls context, IoctlRequest request, OperationId operation)
    {
        var ioctl = new CombinedIoctl(request, operation);
        return operation is { Session: not 0, IsRepeat: false } && context.TryCombine(ioctl) ? ioctl.Task : context.IoctlAsync(request, operation).AsTask();
    }

    void ICombinedIoctl.Answer(IoctlReply reply) => SetResult(reply);

    void ICombinedIoctl.Fail(Exception exception, bool isImmediate, bool isShared) => SetException(exception);
}
