using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>How a hold is let go.</summary>
public enum BusyStepKind
{
    /// <summary>The program destroys an object: <c>IOMMU_DESTROY</c>. With a selftest object goes the device that it made.</summary>
    Destroy = 0,

    /// <summary>A driver detaches a device, or a PASID of it, from its page table.</summary>
    DetachDevice,

    /// <summary>A driver unbinds a device, which destroys its object.</summary>
    UnbindDevice,

    /// <summary>A driver detaches an access from its IOAS.</summary>
    DetachAccess,

    /// <summary>A driver destroys an access; the program closes the file where the access is one of the selftest's.</summary>
    DestroyAccess,

    /// <summary>A driver drops a hold that it took by name.</summary>
    DropHold,
}

/// <summary>One thing that must be done before an object can be destroyed.</summary>
/// <param name="Kind">What.</param>
/// <param name="Object">The object that it is done to; of a <see cref="BusyStepKind.DropHold"/>, the object that is held.</param>
/// <param name="Reference">The driver's reference, where it is a driver's to do; else 0.</param>
/// <param name="Hold">The hold to drop; 0 where it is none.</param>
/// <param name="Driver">The driver's name; empty where it is the program's to do.</param>
/// <param name="Why">What the hold is for that this lets go.</param>
/// <param name="Frees">The objects that it takes a users count from, or destroys.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.BusyStep")]
public sealed record BusyStep(
    [property: Id(0)] BusyStepKind Kind,
    [property: Id(1)] ObjectRef Object,
    [property: Id(2)] ReferenceId Reference,
    [property: Id(3)] HoldId Hold,
    [property: Id(4)] string Driver,
    [property: Id(5)] string Why,
    [property: Id(6)] ObjectRef[] Frees)
{
    /// <summary>Of a <see cref="BusyStepKind.DetachDevice"/>: which PASID of the device; 0 for the device itself.</summary>
    [Id(7)]
    public uint Pasid { get; init; }

    /// <summary>The step in words.</summary>
    /// <returns>For example <c>destroy HWPT 3: IOMMU_DESTROY</c>.</returns>
    public override string ToString() => Kind switch
    {
        BusyStepKind.Destroy => $"destroy {Object} (IOMMU_DESTROY)",
        BusyStepKind.DetachDevice => $"detach {Object}{(Pasid == 0 ? "" : $", PASID {Pasid}")}{By}",
        BusyStepKind.UnbindDevice => $"unbind {Object}{By}",
        BusyStepKind.DetachAccess => $"detach {Object}{By}",
        BusyStepKind.DestroyAccess => $"destroy {Object}{By}",
        _ => $"drop the hold '{Why}' of {Object}{By}",
    };

    private string By => Driver.Length == 0 ? "" : $", which is driver '{Driver}' to do";
}

/// <summary>Why an object is busy, and what must be let go, in which order, before <c>IOMMU_DESTROY</c> works.</summary>
/// <param name="Errno">0; EBADF without such a context, ENOENT without such an object.</param>
/// <param name="Object">The object.</param>
/// <param name="Users">Its users count; at 1 nothing is in the way.</param>
/// <param name="Steps">What to do, in this order; when all is done, the object can be destroyed, or is gone with the last step.</param>
/// <param name="IsTruncated">Whether there are more steps than <see cref="MaxSteps"/>.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.BusyExplanation")]
public sealed record BusyExplanation(
    [property: Id(0)] Errno Errno, [property: Id(1)] ObjectRef Object, [property: Id(2)] long Users, [property: Id(3)] BusyStep[] Steps, [property: Id(4)] bool IsTruncated)
{
    /// <summary>Whether the object is gone with the last step, so that nothing is left to destroy: what a driver has made, or an automatic HWPT.</summary>
    [Id(5)]
    public bool GoesWithLastStep { get; init; }

    /// <summary>The most steps of one explanation.</summary>
    public const int MaxSteps = 1000;
}
