using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace IommuFd.GrainInterfaces;

// Small values that must not be mixed up with each other or with plain numbers.

/// <summary>The unguessable 128-bit name of a context. Whoever has it can act on the context, as whoever has a file descriptor can.</summary>
/// <param name="Value">The 128 bits; also the key of the context's grain.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextHandle")]
public readonly record struct ContextHandle([property: Id(0)] Guid Value)
{
    /// <summary>How many digits of a handle may be shown: enough to tell contexts apart, too few to act on one.</summary>
    public const int ShownDigits = 8;

    /// <summary>Makes a new handle from the system's cryptographic random numbers.</summary>
    /// <returns>The handle.</returns>
    public static ContextHandle NewRandom()
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        return new ContextHandle(new Guid(bytes));
    }

    /// <summary>Reads the 32 hexadecimal digits that <see cref="ToString"/> writes.</summary>
    /// <param name="text">The text.</param>
    /// <param name="handle">The handle.</param>
    /// <returns>False where the text is no handle.</returns>
    public static bool TryParse([NotNullWhen(true)] string? text, out ContextHandle handle)
    {
        var valid = Guid.TryParseExact(text, "N", out var value);
        handle = new ContextHandle(value);
        return valid;
    }

    /// <summary>The whole handle as 32 hexadecimal digits. It is a secret: logs and screens show <see cref="ToShortString"/>.</summary>
    /// <returns>The digits.</returns>
    public override string ToString() => Value.ToString("N");

    /// <summary>The first eight digits, enough to tell contexts apart, too few to act on one.</summary>
    /// <returns>The digits and an ellipsis.</returns>
    public string ToShortString() => string.Concat(Value.ToString("N").AsSpan(0, ShownDigits), "…");
}

/// <summary>The id of an object within its context: 1 to 2^31 - 1. Programs may name any 32-bit number; one that is no object's gets ENOENT.</summary>
/// <param name="Value">The number.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectId")]
public readonly record struct ObjectId([property: Id(0)] uint Value)
{
    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>One reference to a context: the opener's, a duplicate's or a driver's. Unique within its context.</summary>
/// <param name="Value">The number; 0 is none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReferenceId")]
public readonly record struct ReferenceId([property: Id(0)] long Value);

/// <summary>One users count that a driver has taken on an object. Unique within its context.</summary>
/// <param name="Value">The number; 0 is none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.HoldId")]
public readonly record struct HoldId([property: Id(0)] long Value);

/// <summary>
/// Names one request of one file or driver, so that it is done once however often it is sent. A request without a name (the default) is done each time.
/// </summary>
/// <param name="Session">The file or driver: a random number other than 0, chosen when it asks for its reference. A request of a session that has no reference (any more) is EBADF.</param>
/// <param name="Sequence">The request's number in its session: 1 for the first, and 1 more for each.</param>
/// <param name="Settled">Every request up to this number has its answer or was given up. Their answers are forgotten, and one that comes late is refused.</param>
/// <param name="IsRepeat">Whether it was sent before. The answer to a repeat is kept, also where it changes nothing.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.OperationId")]
public readonly record struct OperationId(
    [property: Id(0)] long Session, [property: Id(1)] long Sequence, [property: Id(2)] long Settled, [property: Id(3)] bool IsRepeat = false);

/// <summary>The kinds of object that a context's table can have.</summary>
public enum ObjectType
{
    /// <summary>Any kind: in a look-up, no particular one is asked for.</summary>
    Any = 0,

    /// <summary><c>IOMMUFD_OBJ_IOAS</c>: an IO address space.</summary>
    Ioas,

    /// <summary><c>IOMMUFD_OBJ_DEVICE</c>: a device that a driver has bound.</summary>
    Device,

    /// <summary><c>IOMMUFD_OBJ_HWPT_PAGING</c>: a hardware page table that mirrors an IOAS.</summary>
    HwptPaging,

    /// <summary><c>IOMMUFD_OBJ_ACCESS</c>: a driver's access to the memory that an IOAS maps.</summary>
    Access,

    /// <summary><c>IOMMUFD_OBJ_SELFTEST</c>: the owner of an emulated device that <c>IOMMU_TEST_CMD</c> has made.</summary>
    Selftest,
}

/// <summary>The names of object kinds, as people who know iommufd write them.</summary>
public static class ObjectTypeText
{
    /// <summary>The name of a kind.</summary>
    /// <param name="type">The kind.</param>
    /// <returns>For example <c>IOAS</c>.</returns>
    public static string Label(this ObjectType type) => type switch
    {
        ObjectType.Any => "object",
        ObjectType.Ioas => "IOAS",
        ObjectType.Device => "device",
        ObjectType.HwptPaging => "HWPT",
        ObjectType.Access => "access",
        ObjectType.Selftest => "selftest",
        _ => type.ToString(),
    };
}

/// <summary>Whether a context outlives the silo that runs it.</summary>
public enum ContextMode
{
    /// <summary>The context lives in memory and dies with its silo, as a file descriptor dies with its kernel.</summary>
    Volatile = 0,

    /// <summary>The context is rebuilt from its journal where its silo fails: what it has answered is never lost, and never happens twice.</summary>
    Durable,
}

/// <summary>Why somebody references a context.</summary>
public enum ReferenceKind
{
    /// <summary>A file: the opener or a duplicate of it. Ioctls are answered while there is at least one.</summary>
    File = 0,

    /// <summary>A driver (<c>iommufd_ctx_get</c>): it keeps the context from being released, but does not make it answer ioctls.</summary>
    Driver,
}
