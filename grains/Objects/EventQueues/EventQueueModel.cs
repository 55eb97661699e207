using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.EventQueues;

// What a fault queue and an event queue have in common: records that are read in order, whole ones only, and a file. A read takes what it delivers
// and nothing else: it stops before a record that does not fit or can't be written, so that no record is delivered in part or lost.

/// <summary>A queue that a program reads through a file.</summary>
internal abstract class EventQueueModel
{
    /// <summary>Whether the file is open.</summary>
    public bool IsOpen { get; set; } = true;

    /// <summary>Whether there is something to read.</summary>
    public abstract bool IsReadable { get; }

    /// <summary>What <c>poll</c> reports when there is nothing to read.</summary>
    public virtual PollEvents AlwaysReady => PollEvents.None;

    /// <summary>What <c>poll</c> reports.</summary>
    public PollEvents Events => AlwaysReady | (IsReadable ? PollEvents.In : PollEvents.None);

    /// <summary>Reads the queue, or writes to it.</summary>
    public QueueReply Run(FileRequest request) => request switch
    {
        ReadFileRequest read => Read(read),
        WriteFileRequest write => Write(write),
        _ => QueueReply.Failed(Errno.EINVAL, Failure.Because(DiagnosticReason.FileOperationUnsupported)),
    };

    /// <summary>Writes to the queue; EINVAL where it takes no writes.</summary>
    protected virtual QueueReply Write(WriteFileRequest request)
        => QueueReply.Failed(Errno.EINVAL, Failure.Because(DiagnosticReason.FileOperationUnsupported));

    /// <summary>Why a read of so many bytes must fail; null where it need not.</summary>
    protected virtual QueueReply? CheckRead(ulong count) => null;

    /// <summary>The bytes of the next record; 0 where there is none.</summary>
    protected abstract int NextBytes { get; }

    /// <summary>Takes the next record.</summary>
    protected abstract byte[] Take();

    /// <summary>Reads as many whole records as fit and can be written: EFAULT where the first one fits and can't be written.</summary>
    private QueueReply Read(ReadFileRequest request)
    {
        if (CheckRead(request.Count) is { } failure)
        {
            return failure;
        }

        var room = Math.Min(request.Count, IoctlLimits.MaxBufferBytes);
        var data = new List<byte>();
        while (NextBytes is > 0 and var bytes && (ulong)(data.Count + bytes) <= room)
        {
            if ((ulong)(data.Count + bytes) > request.WritableBytes)
            {
                return data.Count > 0
                    ? QueueReply.OfRead([.. data])
                    : QueueReply.Failed(Errno.EFAULT, Failure.Because(DiagnosticReason.BufferFault, request.WritableBytes, (ulong)bytes));
            }

            data.AddRange(Take());
        }

        return QueueReply.OfRead([.. data]);
    }
}
