namespace IommuFd.GrainInterfaces;

// What people see of the accesses of emulated devices that the IOMMU did not translate. A silo keeps the last ones of the contexts that it has, also of those
// that have closed meanwhile: it is the program that has crashed whose device one wants to know about.

/// <summary>An access of a device that could not be translated.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.RecordedDmaFault")]
public sealed record RecordedDmaFault
{
    /// <summary>Its number on its silo: 1 for the first since the silo's start, and greater for each next.</summary>
    [Id(0)]
    public long Number { get; init; }

    /// <summary>Its number among those of its context on that silo: 1 more than the one before. What is missing is no longer kept.</summary>
    [Id(1)]
    public long Ordinal { get; init; }

    /// <summary>The silo that ran the context.</summary>
    [Id(2)]
    public string Silo { get; init; } = "";

    /// <summary>When it was answered (UTC).</summary>
    [Id(3)]
    public DateTime Time { get; init; }

    /// <summary>The context.</summary>
    [Id(4)]
    public ContextTag Context { get; init; }

    /// <summary>The context's opener: of a program, its name and its process id, as <c>qemu[4711]</c>.</summary>
    [Id(5)]
    public required string Opener { get; init; }

    /// <summary>The device's id in the context.</summary>
    [Id(6)]
    public ObjectId Device { get; init; }

    /// <summary>The device's name: of a PCI device, its address.</summary>
    [Id(7)]
    public required string DeviceName { get; init; }

    /// <summary>What the device accessed: of an access of several ranges, the one that could not be translated.</summary>
    [Id(8)]
    public DmaRange Range { get; init; }

    /// <summary>The errno, where in the range it stopped, whether it was a write, and the PASID.</summary>
    [Id(9)]
    public required DmaFault Fault { get; init; }

    /// <summary>Why; null where no reason is known.</summary>
    [Id(10)]
    public IoctlDiagnostic? Diagnostic { get; init; }

    /// <summary>The fault queue in which it waited for a response, as a page fault; 0 if it was refused at once.</summary>
    [Id(11)]
    public ObjectId FaultQueue { get; init; }
}

/// <summary>The last fault that was seen of a silo.</summary>
/// <param name="Silo">The silo.</param>
/// <param name="Last">The fault's <see cref="RecordedDmaFault.Number"/>; 0 for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FaultMark")]
public readonly record struct FaultMark([property: Id(0)] string Silo, [property: Id(1)] long Last);

/// <summary>Asks for the last accesses of devices that could not be translated.</summary>
/// <param name="Context">Only those of this context; null for those of all contexts that the caller may see.</param>
/// <param name="After">Only those after these: the <see cref="FaultPage.Marks"/> of the answer before; null or empty for all that are kept.</param>
/// <param name="Limit">At most this many, the latest: 1 to <see cref="MaxLimit"/>; more are cut to that.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FaultQuery")]
public sealed record FaultQuery([property: Id(0)] ContextTag? Context, [property: Id(1)] FaultMark[]? After, [property: Id(2)] int Limit)
{
    /// <summary>The maximum number of faults in one answer, which is how many a silo keeps.</summary>
    public const int MaxLimit = 4096;
}

/// <summary>Accesses of devices that could not be translated.</summary>
/// <param name="Faults">The faults, oldest first.</param>
/// <param name="Marks">How far each silo's are seen with this, whether they are among these or not.</param>
/// <param name="SilentSilos">Active silos that did not answer in time: theirs are missing.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FaultPage")]
public sealed record FaultPage([property: Id(0)] RecordedDmaFault[] Faults, [property: Id(1)] FaultMark[] Marks, [property: Id(2)] string[] SilentSilos);
