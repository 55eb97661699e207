using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Model;

/// <summary>What a step of a command came to: a command may have several, and its answer is made at the end.</summary>
/// <param name="Errno">0 on success.</param>
/// <param name="Id">The object that the step made or found.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
internal readonly record struct OperationResult(Errno Errno, ObjectId Id = default, IoctlDiagnostic? Diagnostic = null)
{
    public bool Succeeded => Errno == Errno.None;

    public static OperationResult Fail(Errno errno, DiagnosticReason reason, ObjectEntry? about = null)
        => new(errno, default, Failure.Because(reason, about: about?.Ref ?? default));

    public static OperationResult NotFound(ObjectTable objects, uint id) => new(Errno.ENOENT, default, Failure.NotFound(objects, id));

    /// <summary>What an object's grain has answered.</summary>
    public static OperationResult Of<TReply>(TReply reply, ObjectEntry entry)
        where TReply : struct, IObjectReply<TReply>
        => reply.Errno == Errno.None ? default : new(reply.Errno, default, Failure.Explain(reply.Diagnostic, entry));

    /// <summary>A failure, as an ioctl's answer.</summary>
    public IoctlReply ToReply() => new() { Errno = Errno, Diagnostic = Diagnostic };

    /// <summary>The step's outcome, as a driver's answer.</summary>
    public DriverReply ToDriverReply() => new(Errno, Id, Diagnostic: Diagnostic);
}
