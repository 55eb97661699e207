namespace IommuFd.GrainInterfaces;

/// <summary>One thing to do before an object can be destroyed.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Object">The object to do it to; of a <see cref="BusyStepKind.DropHold"/>, the object that is held.</param>
/// <param name="Reference">The reference of the driver that has to do it; 0 where the program does it.</param>
/// <param name="Hold">The hold to drop; 0 where the step drops no named hold.</param>
/// <param name="Driver">The name of the driver that has to do it; empty where the program does it.</param>
/// <param name="Why">What the hold is for that the step releases.</param>
/// <param name="Frees">The objects that lose a users count by the step, or are destroyed by it: the first <see cref="IoctlLimits.MaxListed"/> of <see cref="FreeCount"/>.</param>
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

    /// <summary>How many objects lose a users count by the step, or are destroyed by it.</summary>
    [Id(8)]
    public int FreeCount { get; init; }

    /// <summary>The step in words.</summary>
    /// <returns>For example <c>detach device 2 (by driver 'vfio-pci')</c>.</returns>
    public override string ToString() => BusyText.Describe(this);
}
