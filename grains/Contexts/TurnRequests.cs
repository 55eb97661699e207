using IommuFd.GrainInterfaces;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Monitoring;

namespace IommuFd.Grains.Contexts;

/// <summary>What differs between the kinds of request whose turns end alike.</summary>
/// <typeparam name="TReply">What the request is answered.</typeparam>
internal interface ITurnRequest<TReply>
    where TReply : class
{
    /// <summary>Whether the request has changed the context, or may have, given its answer; or its answer must be kept for another reason.</summary>
    bool Changes(TReply reply);

    /// <summary>The record that replays the request.</summary>
    JournalRecord ToRecord(OperationId operation, TReply reply);

    /// <summary>Shows the request to those who watch the context.</summary>
    void Record(MonitoredContext monitored, TReply reply, long begun, bool hasWaited);
}

/// <summary>A turn's ioctl.</summary>
internal readonly record struct IoctlTurn(IoctlRequest Request) : ITurnRequest<IoctlReply>
{
    public bool Changes(IoctlReply reply) => IoctlDispatcher.Changes(Request, reply);

    public JournalRecord ToRecord(OperationId operation, IoctlReply reply) => new IoctlRecord(Request, reply, operation);

    public void Record(MonitoredContext monitored, IoctlReply reply, long begun, bool hasWaited) => monitored.Record(Request, reply, begun, hasWaited);
}

/// <summary>A turn's batch.</summary>
/// <param name="Request">The batch.</param>
/// <param name="TakesParts">Whether a long answer goes in parts: then it is kept, so that the next part can be asked for.</param>
internal readonly record struct BatchTurn(IoctlBatchRequest Request, bool TakesParts) : ITurnRequest<IoctlBatchReply>
{
    public bool Changes(IoctlBatchReply reply) => ContextOperations.Changes(Request, reply) || (TakesParts && BatchParts.IsLong(reply));

    public JournalRecord ToRecord(OperationId operation, IoctlBatchReply reply) => new BatchRecord(Request, reply, operation);

    public void Record(MonitoredContext monitored, IoctlBatchReply reply, long begun, bool hasWaited) => monitored.Record(Request, reply, begun);
}

/// <summary>A turn's request of a driver.</summary>
internal readonly record struct DriverTurn(ReferenceId Reference, DriverRequest Request) : ITurnRequest<DriverReply>
{
    public bool Changes(DriverReply reply) => DriverDispatcher.Changes(Request, reply);

    public JournalRecord ToRecord(OperationId operation, DriverReply reply) => new DriverRecord(Reference, Request, operation, reply);

    // The tail shows ioctls, by their numbers. A driver's request has none: its turn's time is recorded, and what the IOMMU refused.
    public void Record(MonitoredContext monitored, DriverReply reply, long begun, bool hasWaited) => monitored.RecordDriver(Request, reply, begun);
}

/// <summary>A turn's read or write of a file.</summary>
internal readonly record struct FileTurn(FileTarget Target, FileRequest Request) : ITurnRequest<FileReply>
{
    public bool Changes(FileReply reply) => FileDispatcher.Changes(reply);

    public JournalRecord ToRecord(OperationId operation, FileReply reply) => new FileRecord(Target, Request, operation, reply);

    // The tail shows ioctls, by their numbers, which a read or a write has not.
    public void Record(MonitoredContext monitored, FileReply reply, long begun, bool hasWaited) => monitored.RecordTurn(begun);
}
