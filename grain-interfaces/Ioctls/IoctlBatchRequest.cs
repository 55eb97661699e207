namespace IommuFd.GrainInterfaces;

/// <summary>Several ioctls that run in one turn, in order, with no other request between them.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlBatchRequest")]
public sealed class IoctlBatchRequest
{
    /// <summary>The ioctls, at most <see cref="IoctlLimits.MaxBatch"/>.</summary>
    [Id(0)]
    public IoctlRequest[] Requests { get; init; } = [];

    /// <summary>Whether the batch stops after the first ioctl that fails.</summary>
    [Id(1)]
    public bool StopAtFirstError { get; init; }

    /// <summary>The batch's name.</summary>
    [Id(2)]
    public OperationId Operation { get; init; }
}
