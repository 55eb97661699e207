namespace IommuFd.GrainInterfaces;

/// <summary>
/// Ioctls that travel together because they were under way together. Each runs as if it had been sent alone, in order, under its own name: unlike
/// a batch, a group as a whole has no name and no answer that is kept.
/// </summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlGroup")]
public sealed class IoctlGroup
{
    /// <summary>The ioctls, at most <see cref="IoctlLimits.MaxBatch"/>.</summary>
    [Id(0)]
    public IoctlRequest[] Requests { get; init; } = [];

    /// <summary>Their names, one for each.</summary>
    [Id(1)]
    public OperationId[] Operations { get; init; } = [];
}
