namespace IommuFd.GrainInterfaces;

// Why an ioctl failed, as data: the service states the reason and its numbers, and DiagnosticText makes words from them where a person reads
// them, so that a failing ioctl costs the service no string. A new reason is a row in DiagnosticReason and a row there.

/// <summary>Why an ioctl failed, for people. The errno alone is the contract.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlDiagnostic")]
public sealed class IoctlDiagnostic
{
    /// <summary>The reason.</summary>
    [Id(0)]
    public DiagnosticReason Reason { get; init; }

    /// <summary>The object that the failure is about; 0 for none.</summary>
    [Id(1)]
    public ObjectId ObjectId { get; init; }

    /// <summary>The object's kind; <see cref="ObjectType.Any"/> where no object has the id.</summary>
    [Id(2)]
    public ObjectType ObjectType { get; init; }

    /// <summary>The number that was asked for, as <see cref="DiagnosticReason"/> defines it for each reason.</summary>
    [Id(3)]
    public ulong Value { get; init; }

    /// <summary>The limit that it broke, as <see cref="DiagnosticReason"/> defines it for each reason.</summary>
    [Id(4)]
    public ulong Limit { get; init; }

    /// <summary>The object's holders: the first <see cref="IoctlLimits.MaxListed"/> of <see cref="HolderCount"/>.</summary>
    [Id(5)]
    public Holder[] Holders { get; init; } = [];

    /// <summary>How many holders the object has.</summary>
    [Id(6)]
    public long HolderCount { get; init; }

    /// <summary>The range that is in the way, or the nearest one; null for none.</summary>
    [Id(7)]
    public IovaRange? Overlap { get; init; }

    /// <summary>The same, with the holders counted and not listed.</summary>
    internal IoctlDiagnostic WithoutHolders() => new()
    {
        Reason = Reason,
        ObjectId = ObjectId,
        ObjectType = ObjectType,
        Value = Value,
        Limit = Limit,
        HolderCount = HolderCount,
        Overlap = Overlap,
    };

    /// <summary>The reason in words.</summary>
    /// <returns>One sentence, without the errno and without a full stop.</returns>
    public override string ToString() => DiagnosticText.Describe(this);
}
