using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>Why an object is busy, and what to release, in which order, before <c>IOMMU_DESTROY</c> works.</summary>
/// <param name="Errno">0; EBADF without such a context, ENOENT without such an object.</param>
/// <param name="Object">The object.</param>
/// <param name="Users">Its users count; at 1 it can be destroyed.</param>
/// <param name="Steps">What to do, in this order. After all of it the object can be destroyed, or the last step has destroyed it.</param>
/// <param name="IsTruncated">Whether there are more steps than <see cref="MaxSteps"/>.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.BusyExplanation")]
public sealed record BusyExplanation(
    [property: Id(0)] Errno Errno, [property: Id(1)] ObjectRef Object, [property: Id(2)] long Users, [property: Id(3)] BusyStep[] Steps, [property: Id(4)] bool IsTruncated)
{
    /// <summary>Whether the last step destroys the object itself: one that a driver has made, or an automatic HWPT.</summary>
    [Id(5)]
    public bool GoesWithLastStep { get; init; }

    /// <summary>The most steps of one explanation.</summary>
    public const int MaxSteps = 1000;
}
