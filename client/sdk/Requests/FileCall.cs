using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A read or a write of a file that an ioctl has opened.</summary>
internal class FileCall(Session session, ContextCalls grain, FileTarget target, FileRequest request) : SessionRequest<FileReply>(session)
{
    protected override string Name => request is WriteFileRequest ? "write" : "read";

    protected override ValueTask<FileReply> SendAsync(OperationId operation) => grain.FileAsync(target, request, operation);
}

/// <summary>A read or a write that has its name from a program, which may send it again by another silo.</summary>
internal sealed class NamedFileCall(Session session, ContextCalls grain, FileTarget target, FileRequest request, OperationId given) : FileCall(session, grain, target, request)
{
    public override OperationId Operation(bool isRepeat = false) => given with { Session = Session.Id, IsRepeat = isRepeat || given.IsRepeat };
}
