using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>The reply to a batch.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlBatchReply")]
public sealed class IoctlBatchReply
{
    /// <summary>
    /// 0, or why no ioctl of the batch ran: EBADF without a context; E2BIG for more ioctls than <see cref="IoctlLimits.MaxBatch"/>, more
    /// bytes than a request may have, or answers that could have more bytes than the service permits.
    /// </summary>
    [Id(0)]
    public Errno Errno { get; init; }

    /// <summary>One reply per ioctl that ran, in order. Shorter than the request if the batch stopped at an error.</summary>
    [Id(1)]
    public IoctlReply[] Replies { get; init; } = [];

    /// <summary>Why no ioctl of the batch ran; null if they ran.</summary>
    [Id(2)]
    public IoctlDiagnostic? Diagnostic { get; init; }

    /// <summary>
    /// How many replies come after these: 0 unless the answer is long and its caller takes it in parts.
    /// <see cref="IContextGrain.IoctlBatchRestAsync"/> returns the next ones.
    /// </summary>
    [Id(3)]
    public int Missing { get; init; }
}
