namespace IommuFd.GrainInterfaces;

// One type for all kinds: what opens a file, sends it or closes it need not know what the file leads to. A client may send any target, so the handler that uses one
// compares all four properties with what the context has.

/// <summary>What a file that an ioctl has opened leads to: an object of a context, and the reference that the file has to that context.</summary>
/// <remarks>The alias is from a time when such files led to accesses only.</remarks>
[GenerateSerializer, Immutable, Alias("IommuFd.AccessFile")]
public sealed record FileTarget
{
    // Null is an access, so that a record of that time, which has no kind, reads as what it meant.
    [Id(3)]
    private ObjectType? _otherType;

    [Id(4)]
    private ContextKey _context;

    /// <summary>Makes a target.</summary>
    /// <param name="context">The context that the object belongs to.</param>
    /// <param name="reference">The file's reference to the context.</param>
    /// <param name="type">The object's kind.</param>
    /// <param name="id">The object's id.</param>
    public FileTarget(ContextKey context, ReferenceId reference, ObjectType type, ObjectId id)
        => (Context, Reference, Type, Id) = (context, reference, type, id);

    /// <summary>The context that the object belongs to.</summary>
    public ContextKey Context
    {
        get => _context;
        init => _context = value;
    }

    // A record of a time when handles were keys has the context's handle.
    [Id(0)]
    internal ContextHandle EarlierContext
    {
        get => default;
        set => _context = value == default ? _context : value.Key;
    }

    /// <summary>The file's reference to the context. Closing the file puts it.</summary>
    [Id(1)]
    public ReferenceId Reference { get; init; }

    /// <summary>The object's kind.</summary>
    public ObjectType Type
    {
        get => _otherType ?? ObjectType.Access;
        init => _otherType = value == ObjectType.Access ? null : value;
    }

    /// <summary>The object's id.</summary>
    [Id(2)]
    public ObjectId Id { get; init; }

    /// <summary>The session of the reads and writes through a file with this reference: both sides know it, since each has the reference.</summary>
    internal static long SessionOf(ReferenceId reference) => unchecked((reference.Value * 0x5851F42D4C957F2D) | 1);
}
