namespace IommuFd.GrainInterfaces;

/// <summary>Several ioctls that run in one turn, in order, with no other request between them.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, Alias("IommuFd.IoctlBatchRequest")]
public sealed class IoctlBatchRequest
{
    /// <summary>The ioctls, at most <see cref="IoctlLimits.MaxBatch"/>.</summary>
    [Id(0)]
    public IoctlRequest[] Requests { get; init; } = [];

    /// <summary>Whether the batch stops after the first ioctl that fails.</summary>
    [Id(1)]
    public bool StopAtFirstError { get; init; }

    /// <summary>
    /// The batch's name as earlier versions carried it: within the request. It is only read, as
    /// <see cref="IoctlRequest.EmbeddedOperation"/> is.
    /// </summary>
    [Id(2)]
    internal OperationId EmbeddedOperation { get; init; }

    /// <summary>
    /// Whether the caller takes a long answer in parts. It must have a session, which keeps the answer until the batch is settled.
    /// </summary>
    [Id(3)]
    public bool TakesParts { get; init; }

    /// <summary>The batch's name: the one beside it, or the one within that an earlier version wrote.</summary>
    /// <param name="beside">The name beside the batch.</param>
    internal OperationId OperationOf(in OperationId beside) => beside.Session == 0 ? EmbeddedOperation : beside;
}
