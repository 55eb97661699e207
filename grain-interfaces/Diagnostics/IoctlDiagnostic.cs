namespace IommuFd.GrainInterfaces;

// Why an ioctl failed, as data: the service states the reason and the numbers, words are made from them where a person reads
// them (DiagnosticText), so that a failing ioctl costs no string. A new reason is a row here and a row there.

/// <summary>Why an ioctl failed, for people. The errno alone is the contract.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlDiagnostic")]
public sealed class IoctlDiagnostic
{
    /// <summary>The reason.</summary>
    [Id(0)]
    public DiagnosticReason Reason { get; init; }

    /// <summary>The object that it is about; 0 for none.</summary>
    [Id(1)]
    public ObjectId ObjectId { get; init; }

    /// <summary>The object's kind, where it exists.</summary>
    [Id(2)]
    public ObjectType ObjectType { get; init; }

    /// <summary>The number that the reason speaks of.</summary>
    [Id(3)]
    public ulong Value { get; init; }

    /// <summary>The bound that the reason speaks of.</summary>
    [Id(4)]
    public ulong Limit { get; init; }

    /// <summary>Who holds the object: the first <see cref="IoctlLimits.MaxListed"/> of <see cref="HolderCount"/>.</summary>
    [Id(5)]
    public Holder[] Holders { get; init; } = [];

    /// <summary>How many hold the object.</summary>
    [Id(6)]
    public long HolderCount { get; init; }

    /// <summary>The range that is in the way, or the nearest; null for none.</summary>
    [Id(7)]
    public IovaRange? Overlap { get; init; }

    /// <summary>The reason in words.</summary>
    /// <returns>One sentence.</returns>
    public override string ToString() => DiagnosticText.Describe(this);
}
