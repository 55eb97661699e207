using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Model;

/// <summary>Makes failures: the reply of an ioctl with its errno, and the reason with the numbers that a person wants to see.</summary>
internal static class Failure
{
    /// <summary>Why something failed: the one place where a diagnostic is made.</summary>
    /// <param name="reason">The rule that was broken.</param>
    /// <param name="value">What was asked for.</param>
    /// <param name="limit">What is possible.</param>
    /// <param name="about">The object that it is about; default for none.</param>
    /// <param name="overlap">The range that stands in the way; null for none.</param>
    public static IoctlDiagnostic Because(DiagnosticReason reason, ulong value = 0, ulong limit = 0, ObjectRef about = default, IovaRange? overlap = null)
        => new() { Reason = reason, Value = value, Limit = limit, ObjectId = about.Id, ObjectType = about.Type, Overlap = overlap };

    public static IoctlReply Reply(Errno errno, DiagnosticReason reason, ulong value = 0, ulong limit = 0)
        => new() { Errno = errno, Diagnostic = Because(reason, value, limit) };

    /// <summary>EOPNOTSUPP: a known field has a value that isn't supported.</summary>
    public static IoctlReply Unsupported(DiagnosticReason reason, ulong value) => Reply(Errno.EOPNOTSUPP, reason, value);

    /// <summary>ENOENT: no object has the id, or one of another type.</summary>
    public static IoctlReply ObjectNotFound(ObjectTable objects, uint id) => new() { Errno = Errno.ENOENT, Diagnostic = NotFound(objects, id) };

    /// <summary>EBUSY: the object has holders.</summary>
    public static IoctlReply ObjectHeld(ObjectEntry entry) => new()
    {
        Errno = Errno.EBUSY,
        Diagnostic = new IoctlDiagnostic
        {
            Reason = DiagnosticReason.ObjectHeld,
            ObjectId = entry.Id,
            ObjectType = entry.Type,
            Holders = entry.DescribeHolders(IoctlLimits.MaxListed),
            HolderCount = entry.Users - 1,
        },
    };

    /// <summary>EBUSY: the context has objects.</summary>
    public static IoctlReply ContextHasObjects(ObjectTable objects) => new()
    {
        Errno = Errno.EBUSY,
        Diagnostic = new IoctlDiagnostic
        {
            Reason = DiagnosticReason.ContextHasObjects,
            Holders = [.. objects.After(0).Take(IoctlLimits.MaxListed).Select(entry => new Holder(entry.Type, entry.Id, "", default))],
            HolderCount = objects.Count,
        },
    };

    /// <summary>Why data for an object of an IOMMU's own format was refused, by the errno of the IOMMU's driver.</summary>
    /// <param name="errno">The errno.</param>
    /// <param name="type">The data's type.</param>
    /// <param name="length">Bytes that the caller declares.</param>
    /// <param name="accessible">Leading bytes that can be accessed.</param>
    public static IoctlDiagnostic Data(Errno errno, uint type, uint length, ulong accessible) => errno switch
    {
        Errno.EFAULT => Because(DiagnosticReason.BufferFault, accessible, length),
        Errno.EINVAL => Because(DiagnosticReason.WrongDataLength, type, length),
        Errno.EIO => Because(DiagnosticReason.InvalidData, type, length),
        _ => Because(DiagnosticReason.UnsupportedData, type, length),
    };

    /// <summary>What an object has answered, as the ioctl's answer.</summary>
    public static IoctlReply Of<TReply>(TReply reply, ObjectEntry entry)
        where TReply : struct, IObjectReply<TReply>
        => new() { Errno = reply.Errno, Diagnostic = Explain(reply.Diagnostic, entry) };

    /// <summary>
    /// The reason that an object's grain gave, about that object unless it is about another: a grain does not know its id. Where it gave none, it does not
    /// have the life that was meant.
    /// </summary>
    public static IoctlDiagnostic Explain(IoctlDiagnostic? diagnostic, ObjectEntry entry) => diagnostic is null ? Unreachable(entry)
        : diagnostic.ObjectId == default ? About(diagnostic, entry)
        : diagnostic;

    /// <summary>The same reason, about an object.</summary>
    public static IoctlDiagnostic About(IoctlDiagnostic diagnostic, ObjectEntry entry)
        => Because(diagnostic.Reason, diagnostic.Value, diagnostic.Limit, entry.Ref, diagnostic.Overlap);

    /// <summary>The object's grain failed or has lost its state.</summary>
    public static IoctlDiagnostic Unreachable(ObjectEntry entry)
        => Because(DiagnosticReason.ObjectUnreachable, about: entry.Ref);

    public static IoctlDiagnostic NotFound(ObjectTable objects, uint id) => objects.Find(id) is { } other
        ? Because(DiagnosticReason.ObjectOfOtherType, about: other.Ref)
        : Because(DiagnosticReason.ObjectNotFound, about: new ObjectRef(ObjectType.Any, new ObjectId(id)));
}
