using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using Orleans.Concurrency;

namespace IommuFd.Grains.Objects.EventQueues;

/// <summary>A queue that a program reads through a file.</summary>
[Alias("IommuFd.IEventQueueGrain")]
internal interface IEventQueueGrain : IObjectGrain
{
    /// <summary>Reads the queue, or writes to it.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="request">The read or the write.</param>
    /// <returns>What was read, or how much was written.</returns>
    [Alias("File")]
    ValueTask<QueueReply> FileAsync(ObjectStamp stamp, FileRequest request);

    /// <summary>Says whether there is something to read, at once or as soon as there is. Interleaves with a running turn and changes nothing.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="wait">How long to wait.</param>
    /// <returns>The events; EIO where the grain does not have this life.</returns>
    [Alias("Poll")]
    [AlwaysInterleave]
    ValueTask<PollReply> PollAsync(ObjectStamp stamp, TimeSpan wait);

    /// <summary>The file is closed, which holds the queue no more.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <returns>The errno.</returns>
    [Alias("Close")]
    ValueTask<ObjectReply> CloseAsync(ObjectStamp stamp);
}

/// <summary>What a queue answers to a read or a write.</summary>
/// <param name="Errno">0 on success.</param>
/// <param name="Count">Bytes read or written.</param>
/// <param name="Data">What was read; null for nothing.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.QueueReply")]
internal readonly record struct QueueReply(
    [property: Id(0)] Errno Errno, [property: Id(1)] int Count, [property: Id(2)] byte[]? Data, [property: Id(3)] IoctlDiagnostic? Diagnostic) : IObjectReply<QueueReply>
{
    int? IObjectReply<QueueReply>.Size => null;

    PinTally? IObjectReply<QueueReply>.Pinned => null;

    /// <inheritdoc/>
    public static QueueReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, 0, null, diagnostic);

    /// <summary>A read.</summary>
    public static QueueReply OfRead(byte[] data) => new(Errno.None, data.Length, data.Length == 0 ? null : data, null);

    /// <summary>A write.</summary>
    public static QueueReply OfWrite(int count) => new(Errno.None, count, null, null);
}
