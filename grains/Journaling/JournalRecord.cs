using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Journaling;

// What a journal consists of: each request that has changed a context, with its reply. Replaying the requests in order restores the
// context, since no decision depends on a clock, a random number or another context. The replies are kept for repeats of the requests, and
// prove that the replay gave the same result.

/// <summary>A request and its reply.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.JournalRecord")]
internal abstract record JournalRecord
{
    /// <summary>What the turn was told of programs' memory; null where all that it has asked for was there.</summary>
    [Id(0)]
    public PinFacts[]? Memory { get; init; }

    /// <summary>Replays the request.</summary>
    /// <returns>Whether the reply was the same.</returns>
    public abstract ValueTask<bool> ReplayAsync(IoctlScope scope);

    /// <summary>Keeps the reply for the session, which may repeat the request.</summary>
    protected static void Keep(ContextModel context, OperationId operation, object answer)
    {
        if (context.FindSession(operation.Session) is { } reference && reference.Replies.Begin(operation, out _, out _) == OperationStanding.New)
        {
            reference.Replies.Keep(operation, answer);
        }
    }
}

/// <summary>The context was opened.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.OpenRecord")]
internal sealed record OpenRecord([property: Id(0)] OpenRequest Request, [property: Id(1)] ReferenceReply Reply) : JournalRecord
{
    /// <summary>When, in ticks of UTC; 0 in records of versions that did not record it.</summary>
    [Id(2)]
    public long OpenedTicks { get; init; }

    public override ValueTask<bool> ReplayAsync(IoctlScope scope)
        => ValueTask.FromResult(ReplyComparer.Agree(Reply, scope.Context.Open(ContextMode.Durable, Request.Name, Request.Session, OpenedTicks)));
}

/// <summary>A further reference was taken.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.GetRecord")]
internal sealed record GetRecord([property: Id(0)] GetRequest Request, [property: Id(1)] ReferenceReply Reply) : JournalRecord
{
    public override ValueTask<bool> ReplayAsync(IoctlScope scope)
        => ValueTask.FromResult(ReplyComparer.Agree(Reply, scope.Context.Get(Request.Kind, Request.Name, Request.Session)));
}

/// <summary>A reference other than the last was put: by its owner, or because its lease expired.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.PutRecord")]
internal sealed record PutRecord([property: Id(0)] ReferenceId Reference) : JournalRecord
{
    public override async ValueTask<bool> ReplayAsync(IoctlScope scope) => await ContextOperations.PutAsync(scope, Reference) == Errno.None;
}

/// <summary>An ioctl.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlRecord")]
internal sealed record IoctlRecord(
    [property: Id(0)] IoctlRequest Request, [property: Id(1)] IoctlReply Reply, [property: Id(2)] OperationId Operation) : JournalRecord
{
    /// <inheritdoc/>
    public override string ToString() => $"{IoctlTable.Find(Request.Command)?.Name} {Convert.ToHexString(Request.Argument)}: {Reply.Errno} {Convert.ToHexString(Reply.Argument ?? [])}";

    public override async ValueTask<bool> ReplayAsync(IoctlScope scope)
    {
        var reply = await IoctlDispatcher.DispatchAsync(scope, Request);
        Keep(scope.Context, Request.OperationOf(Operation), Reply);
        return ReplyComparer.Agree(Reply, reply);
    }
}

/// <summary>A batch of ioctls.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.BatchRecord")]
internal sealed record BatchRecord(
    [property: Id(0)] IoctlBatchRequest Request, [property: Id(1)] IoctlBatchReply Reply, [property: Id(2)] OperationId Operation) : JournalRecord
{
    public override async ValueTask<bool> ReplayAsync(IoctlScope scope)
    {
        var reply = await ContextOperations.BatchAsync(scope, Request);
        Keep(scope.Context, Request.OperationOf(Operation), Reply);
        return ReplyComparer.Agree(Reply, reply);
    }
}

/// <summary>Those ioctls of a group that have changed the context, or may have: one commit.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.GroupRecord")]
internal sealed record GroupRecord([property: Id(0)] JournalRecord[] Records) : JournalRecord
{
    public override async ValueTask<bool> ReplayAsync(IoctlScope scope)
    {
        foreach (var record in Records)
        {
            if (!await record.ReplayAsync(scope with { Asked = ProgramMemory.Replay(record.Memory) }))
            {
                return false;
            }
        }

        return true;
    }
}

/// <summary>A driver's request.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.DriverRecord")]
internal sealed record DriverRecord(
    [property: Id(0)] ReferenceId Reference, [property: Id(1)] DriverRequest Request, [property: Id(2)] OperationId Operation, [property: Id(3)] DriverReply Reply) : JournalRecord
{
    public override async ValueTask<bool> ReplayAsync(IoctlScope scope)
    {
        var reply = await DriverDispatcher.DispatchAsync(scope, Reference, Request);
        Keep(scope.Context, Operation, Reply);
        return ReplyComparer.Agree(Reply, reply);
    }
}

/// <summary>A read or a write of a file that an ioctl has opened.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.FileRecord")]
internal sealed record FileRecord(
    [property: Id(0)] FileTarget Target, [property: Id(1)] FileRequest Request, [property: Id(2)] OperationId Operation, [property: Id(3)] FileReply Reply) : JournalRecord
{
    public override async ValueTask<bool> ReplayAsync(IoctlScope scope)
    {
        var reply = await FileDispatcher.DispatchAsync(scope, Target, Request);
        Keep(scope.Context, Operation, Reply);
        return ReplyComparer.Agree(Reply, reply);
    }
}

/// <summary>The reply to the Put that released the context, kept for a repeat of that Put.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.LastWords")]
internal sealed record ReleasedReply([property: Id(0)] ReferenceId Reference, [property: Id(1)] PutReply Reply);
