using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What people see of one context: its last ioctls, and why an object of it is busy; and what an operator can do about it.

/// <summary>An ioctl that a context has answered.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.RecordedIoctl")]
public sealed record RecordedIoctl
{
    /// <summary>The most bytes of an argument that are kept.</summary>
    public const int MaxArgumentBytes = 256;

    /// <summary>Its number: 1 for the first since the context came to its silo, and 1 more for each.</summary>
    [Id(0)]
    public long Number { get; init; }

    /// <summary>When it was answered (UTC).</summary>
    [Id(1)]
    public DateTime Time { get; init; }

    /// <summary>
    /// How long its turn took, in nanoseconds, the journal included; of an ioctl in a batch, its part. -1 where it was not timed: it was answered without waiting for anything
    /// else, which takes some microseconds, and nobody was looking.
    /// </summary>
    [Id(2)]
    public long Nanoseconds { get; init; }

    /// <summary>The full ioctl number.</summary>
    [Id(3)]
    public uint Command { get; init; }

    /// <summary>The argument as it was sent: the first <see cref="MaxArgumentBytes"/> of it.</summary>
    [Id(4)]
    public byte[] Argument { get; init; } = [];

    /// <summary>The argument as it was answered, likewise; empty where nothing was to be copied back.</summary>
    [Id(5)]
    public byte[] Answer { get; init; } = [];

    /// <summary>The errno; 0 for success.</summary>
    [Id(6)]
    public Errno Errno { get; init; }

    /// <summary>Why it failed; null on success.</summary>
    [Id(7)]
    public IoctlDiagnostic? Diagnostic { get; init; }
}

/// <summary>Asks for the last ioctls of a context.</summary>
/// <param name="After">Only those with greater numbers; 0 for all that are kept, -1 for none, to learn where the end is.</param>
/// <param name="Activation">The <see cref="TailReply.Activation"/> that <paramref name="After"/> is from; 0 for none.</param>
/// <param name="Limit">At most so many, the latest; 1 to <see cref="MaxLimit"/>; more are cut to that.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.TailRequest")]
public sealed record TailRequest([property: Id(0)] long After, [property: Id(1)] long Activation, [property: Id(2)] int Limit)
{
    /// <summary>The most ioctls of one reply.</summary>
    public const int MaxLimit = 4096;
}

/// <summary>The last ioctls of a context.</summary>
/// <param name="Errno">0; EBADF without such a context.</param>
/// <param name="Activation">Names this life of the context on its silo. After a failover it is another, and numbers begin anew.</param>
/// <param name="Last">The number of the context's last ioctl.</param>
/// <param name="Missed">Ioctls after those asked for that are not kept any more, or were more than asked for.</param>
/// <param name="Ioctls">The ioctls, oldest first.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.TailReply")]
public sealed record TailReply(
    [property: Id(0)] Errno Errno, [property: Id(1)] long Activation, [property: Id(2)] long Last, [property: Id(3)] long Missed, [property: Id(4)] RecordedIoctl[] Ioctls);

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

/// <summary>Something that an operator does to a context in the place of its owners.</summary>
/// <param name="Operator">Who, for the log: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.OperatorRequest")]
public abstract record OperatorRequest([property: Id(0)] string Operator);

/// <summary>Puts every reference to the context back, which releases it: its objects are destroyed, leaves first.</summary>
/// <param name="Operator">Who, for the log.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReleaseContextRequest")]
public sealed record ReleaseContextRequest(string Operator) : OperatorRequest(Operator);

/// <summary>Puts a stuck driver's reference back, with its holds, devices and accesses. A file is no driver: EBADF.</summary>
/// <param name="Operator">Who, for the log.</param>
/// <param name="Reference">The driver's reference.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DropDriverRequest")]
public sealed record DropDriverRequest(string Operator, [property: Id(0)] ReferenceId Reference) : OperatorRequest(Operator);

/// <summary>Drops one stuck hold that a driver took by name.</summary>
/// <param name="Operator">Who, for the log.</param>
/// <param name="Reference">The driver's reference.</param>
/// <param name="Hold">The hold; ENOENT where the driver has no such hold.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DropStuckHoldRequest")]
public sealed record DropStuckHoldRequest(string Operator, [property: Id(0)] ReferenceId Reference, [property: Id(1)] HoldId Hold) : OperatorRequest(Operator);
