using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Selftest;

// The selftest's accesses. A program reaches one by a file descriptor, which the caller's side gives out and keeps; the file behind it is a
// reference to the context, like any driver's, so that closing it destroys the access.

/// <summary>The ops of IOMMU_TEST_CMD on accesses.</summary>
internal static class TestAccessHandlers
{
    private const IommuTestAccessFlags PinFlags = IommuTestAccessFlags.Write | IommuTestAccessFlags.Syz;

    private const IommuTestAccessFlags RwFlags = IommuTestAccessFlags.Write | IommuTestAccessFlags.SlowPath | IommuTestAccessFlags.Syz;

    private static readonly int FileOffset = (int)Marshal.OffsetOf<IommuTestCmd>(nameof(IommuTestCmd.Fields));

    /// <summary>IOMMU_TEST_OP_CREATE_ACCESS.</summary>
    public static async ValueTask<IoctlReply> Create(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        var flags = (IommuTestCreateAccessFlags)cmd.Fields.As<IommuTestCreateAccess>().Flags;
        if ((flags & ~IommuTestCreateAccessFlags.NeedsPinPages) != 0)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, (uint)(flags & ~IommuTestCreateAccessFlags.NeedsPinPages));
        }

        var taken = scope.Context.GetFile(AccessHandlers.FileName);
        if (scope.Context.FindDriver(taken.Reference) is not { } reference)
        {
            return new IoctlReply { Errno = taken.Errno, Diagnostic = taken.Diagnostic };
        }

        if (AccessHandlers.Create(scope, reference, flags.HasFlag(IommuTestCreateAccessFlags.NeedsPinPages)) is not { } access)
        {
            scope.Context.Abort(reference);
            return scope.Context.Objects.NoRoom().ToReply();
        }

        var attached = await AccessHandlers.AttachAsync(scope, access, cmd.Id);
        var target = new FileTarget(scope.Grains.Key, reference.Id, ObjectType.Access, access.Id);
        var reply = attached.Succeeded ? call.Respond(in cmd, new IoctlReply { File = new NewFile(FileOffset, target) }) : attached.ToReply();
        if (reply.Errno != Errno.None)
        {
            await AccessHandlers.DestroyAsync(scope, access);
            scope.Context.Abort(reference);
        }

        return reply;
    }

    /// <summary>IOMMU_TEST_OP_ACCESS_PAGES.</summary>
    public static async ValueTask<IoctlReply> Pages(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        var fields = cmd.Fields.As<IommuTestAccessPages>();
        var flags = (IommuTestAccessFlags)fields.Flags;
        if (Check(scope, call, fields.Length, flags, PinFlags, out var access) is { } failure)
        {
            return failure;
        }

        if (!access.NeedsPinPages)
        {
            return OperationResult.Fail(Errno.EOPNOTSUPP, DiagnosticReason.AccessDoesNotPin, access).ToReply();
        }

        if (!call.CanRespond<IommuTestCmd>())
        {
            return call.Respond(in cmd);
        }

        fields.OutAccessPagesId = access.NextPin;
        ExpectedMemory? expected = fields.Uptr == 0 ? null : ExpectedMemory.Of(call, IommuTestOp.AccessPages, fields.Uptr);
        var pages = await AccessHandlers.PinAsync(scope, access, new IoasAccessRequest(access.Id, fields.Iova, fields.Length, flags), expected);
        if (pages.Errno != Errno.None)
        {
            return new IoctlReply { Errno = pages.Errno, Diagnostic = pages.Diagnostic };
        }

        cmd.Fields.Set(in fields);
        return call.Respond(in cmd);
    }

    /// <summary>IOMMU_TEST_OP_DESTROY_ACCESS_PAGES.</summary>
    public static async ValueTask<IoctlReply> DestroyPages(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        if (Find(scope, call) is not { } access)
        {
            return NotAnAccess(cmd.Id);
        }

        return (await AccessHandlers.UnpinAsync(scope, access, cmd.Fields.As<IommuTestDestroyAccessPages>().AccessPagesId)).ToReply();
    }

    /// <summary>IOMMU_TEST_OP_ACCESS_RW: what is to be copied goes back with the answer, and the caller's side copies it.</summary>
    public static async ValueTask<IoctlReply> Rw(IoctlScope scope, IoctlCommand call)
    {
        var fields = call.Read<IommuTestCmd>().Fields.As<IommuTestAccessRw>();
        var flags = (IommuTestAccessFlags)fields.Flags;
        if (Check(scope, call, fields.Length, flags, RwFlags, out var access) is { } failure)
        {
            return failure;
        }

        // Linux reads the buffer first and writes it last.
        var write = flags.HasFlag(IommuTestAccessFlags.Write);
        var buffer = call.Buffer(IoctlTable.TestBufferIndex(IommuTestOp.AccessRw));
        if (write && buffer.ReadableBytes < fields.Length)
        {
            return Failure.Reply(Errno.EFAULT, DiagnosticReason.BufferFault, buffer.ReadableBytes, fields.Length);
        }

        var pages = await AccessHandlers.ResolveAsync(scope, access, new IoasAccessRequest(access.Id, fields.Iova, fields.Length, flags));
        if (pages.Errno != Errno.None)
        {
            // What is read goes to the buffer only where all of it was.
            return new IoctlReply
            {
                Errno = pages.Errno,
                Diagnostic = pages.Diagnostic,
                Copy = write && pages.Slices.Length > 0 ? new UserCopy(fields.Uptr, IoasPinningHandlers.MemoryOf(pages.Slices), write) : null,
            };
        }

        return write || buffer.WritableBytes >= fields.Length
            ? new IoctlReply { Copy = new UserCopy(fields.Uptr, IoasPinningHandlers.MemoryOf(pages.Slices), write) }
            : Failure.Reply(Errno.EFAULT, DiagnosticReason.BufferFault, buffer.WritableBytes, fields.Length);
    }

    /// <summary>IOMMU_TEST_OP_ACCESS_REPLACE_IOAS.</summary>
    public static async ValueTask<IoctlReply> ReplaceIoas(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuTestCmd>();
        return Find(scope, call) is { } access
            ? (await AccessHandlers.ReplaceAsync(scope, access, cmd.Fields.As<IommuTestAccessReplaceIoas>().IoasId)).ToReply()
            : NotAnAccess(cmd.Id);
    }

    // What pinning and copying check first, in this order.
    private static IoctlReply? Check(
        IoctlScope scope, IoctlCommand call, ulong length, IommuTestAccessFlags flags, IommuTestAccessFlags known, out AccessEntry access)
    {
        access = null!;
        if (length > IoctlLimits.MaxAccessBytes)
        {
            return Failure.Reply(Errno.ENOMEM, DiagnosticReason.RequestTooLarge, length, IoctlLimits.MaxAccessBytes);
        }

        if ((flags & ~known) != 0)
        {
            return Failure.Unsupported(DiagnosticReason.UnsupportedFlags, (uint)(flags & ~known));
        }

        if (Find(scope, call) is not { } found)
        {
            return NotAnAccess(call.Read<IommuTestCmd>().Id);
        }

        access = found;
        return null;
    }

    // A client may send any target: it leads to an access only if context, kind, id and reference agree.
    private static AccessEntry? Find(IoctlScope scope, IoctlCommand call)
        => call.File?.Target is { Type: ObjectType.Access } target
            && target.Context == scope.Grains.Key
            && scope.Context.Objects.Find<AccessEntry>(target.Id.Value) is { DriverHold.Owner: ContextReference owner } access
            && owner.Id == target.Reference
            ? access
            : null;

    private static IoctlReply NotAnAccess(uint fileDescriptor) => Failure.Reply(Errno.EBADFD, DiagnosticReason.NotAnAccess, fileDescriptor);
}
