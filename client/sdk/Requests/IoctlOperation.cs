using System.Threading.Tasks.Sources;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>An ioctl of a file.</summary>
internal class IoctlOperation(Session session, ContextCalls grain, IoctlRequest request) : SessionRequest<IoctlReply>(session), ICombinedIoctl
{
    IoctlRequest ICombinedIoctl.Request => request;

    OperationId ICombinedIoctl.Operation => Operation();

    bool ICombinedIoctl.IsAwaited => State == RequestState.FirstAttempt;

    /// <summary>The command.</summary>
    protected uint Command => request.Command;

    protected override string Name => IoctlTable.Find(Command)?.Name ?? "ioctl";

    protected override ValueTask<IoctlReply> SendAsync(OperationId operation) => grain.IoctlAsync(request, operation);

    // A traced ioctl has a message of its own, with the trace. A repeat must not wait for anything.
    protected override void SendFirst()
    {
        if (IsTraced || Operation().IsRepeat || !grain.TryCombine(this))
        {
            base.SendFirst();
        }
    }

    void ICombinedIoctl.Answer(IoctlReply reply) => AnswerFirst(reply);

    void ICombinedIoctl.Fail(Exception exception, bool isImmediate, bool isShared) => FailFirst(exception, isImmediate, isShared || IommufdTransportException.IsTransport(exception));
}

/// <summary>An ioctl that has its name from a program, which may send it again by another silo.</summary>
internal sealed class NamedIoctl(Session session, ContextCalls grain, IoctlRequest request, OperationId given) : IoctlOperation(session, grain, request)
{
    public override OperationId Operation(bool isRepeat = false) => given with { Session = Session.Id, IsRepeat = isRepeat || given.IsRepeat };
}

/// <summary>An ioctl of a file whose answer is a struct: decoded where it is awaited, which saves a state machine in between.</summary>
internal sealed class IoctlOperation<T>(Session session, ContextCalls grain, IoctlRequest request) : IoctlOperation(session, grain, request), IValueTaskSource<T>
    where T : unmanaged
{
    public new ValueTask<T> StartAsync(CancellationToken cancellationToken) => new(this, Start(cancellationToken));

    T IValueTaskSource<T>.GetResult(short token) => IoctlResult.From(Command, GetResult(token)).ThrowIfFailed().Read<T>();
}
