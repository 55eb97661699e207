using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// The commands on mappings, as the context runs them: check, look the IOAS up, call it, answer. An answer that can't be written
// is found out before anything is mapped or unmapped, so that an error changes nothing; Linux finds out afterwards.

/// <summary>IOMMU_IOAS_MAP, _MAP_FILE, _UNMAP, _COPY, _IOVA_RANGES and _ALLOW_IOVAS.</summary>
internal static class IoasMappingHandlers
{
    /// <summary>IOMMU_IOAS_MAP.</summary>
    public static ValueTask<IoctlReply> Map(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuIoasMap>();
        var flags = (IommuIoasMapFlags)cmd.Flags;
        if (IoasChecks.Map(flags, cmd.Reserved, cmd.Iova, cmd.Length) is var errno && errno != Errno.None)
        {
            return ValueTask.FromResult(CheckFailed(errno, flags, cmd.Reserved));
        }

        if (scope.CheckRoom(1) is { Succeeded: false } full)
        {
            return ValueTask.FromResult(full.ToReply());
        }

        return RunAsync(
            scope, call, cmd.IoasId, cmd, RequestOf(cmd, call) with { Account = call.AccountIn(scope.Context) },
            static (grain, stamp, request, facts) => grain.MapAsync(stamp, request, facts),
            static (cmd, iova) => cmd with { Iova = iova });
    }

    /// <summary>What an IOMMU_IOAS_MAP asks of the IOAS.</summary>
    private static IoasMapRequest RequestOf(IommuIoasMap cmd, IoctlCommand call)
    {
        var memory = call.Buffer(0);
        return new((IommuIoasMapFlags)cmd.Flags, cmd.UserVa, cmd.Length, cmd.Iova, memory.ReadableBytes, memory.WritableBytes, call.Memory, memory.Mapping);
    }

    /// <summary>IOMMU_IOAS_MAP_FILE.</summary>
    public static ValueTask<IoctlReply> MapFile(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuIoasMapFile>();
        var flags = (IommuIoasMapFlags)cmd.Flags;
        if (IoasChecks.MapFile(flags, cmd.Iova, cmd.Length) is var errno && errno != Errno.None)
        {
            return ValueTask.FromResult(CheckFailed(errno, flags));
        }

        if (scope.CheckRoom(1) is { Succeeded: false } full)
        {
            return ValueTask.FromResult(full.ToReply());
        }

        var request = new IoasMapRequest(flags, cmd.Start, cmd.Length, cmd.Iova, 0, 0, call.Memory, Account: call.AccountIn(scope.Context));
        return RunAsync(
            scope, call, cmd.IoasId, cmd, (Request: request, call.File),
            static (grain, stamp, argument, facts) => grain.MapFileAsync(stamp, argument.Request, argument.File, facts),
            static (cmd, iova) => cmd with { Iova = iova });
    }

    /// <summary>IOMMU_IOAS_UNMAP.</summary>
    public static ValueTask<IoctlReply> Unmap(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuIoasUnmap>();
        return RunAsync(
            scope, call, cmd.IoasId, cmd, cmd,
            static (grain, stamp, cmd, _) => grain.UnmapAsync(stamp, cmd.Iova, cmd.Length),
            static (cmd, unmapped) => cmd with { Length = unmapped });
    }

    /// <summary>IOMMU_IOAS_COPY. The source gives its pages before the destination is looked up, as in Linux.</summary>
    public static async ValueTask<IoctlReply> Copy(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuIoasCopy>();
        var flags = (IommuIoasMapFlags)cmd.Flags;
        if (IoasChecks.Copy(flags, cmd.Length, cmd.DstIova, cmd.SrcIova) is var errno && errno != Errno.None)
        {
            return CheckFailed(errno, flags);
        }

        if (scope.Context.Objects.Find<IoasEntry>(cmd.SrcIoasId) is not { } source)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.SrcIoasId);
        }

        var pages = await scope.Grains.CallAsync<IIoasGrain, IommuIoasCopy, PagesReply>(
            source, cmd, static (grain, stamp, cmd) => grain.GetPagesAsync(stamp, cmd.SrcIova, cmd.Length));
        if (pages.Errno != Errno.None)
        {
            return Failure.Of(pages, source);
        }

        if (scope.CheckRoom(pages.Slices.Length) is { Succeeded: false } full)
        {
            return full.ToReply();
        }

        if (scope.Context.Objects.Find<IoasEntry>(cmd.DstIoasId) is not { } destination)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.DstIoasId);
        }

        if (!call.CanRespond<IommuIoasCopy>())
        {
            return call.Respond(in cmd);
        }

        var reply = await IoasPinningHandlers.CallAsync(
            scope, destination, (Cmd: cmd, pages.Slices),
            static (grain, stamp, argument, facts) => grain.MapPagesAsync(stamp, (IommuIoasMapFlags)argument.Cmd.Flags, argument.Slices, argument.Cmd.DstIova, facts));
        return reply.Errno == Errno.None ? call.Respond(cmd with { DstIova = reply.Value }) : Failure.Of(reply, destination);
    }

    /// <summary>IOMMU_IOAS_IOVA_RANGES.</summary>
    public static async ValueTask<IoctlReply> IovaRanges(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuIoasIovaRanges>();
        if (IoasChecks.Reserved(cmd.Reserved) != Errno.None)
        {
            return Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved);
        }

        if (scope.Context.Objects.Find<IoasEntry>(cmd.IoasId) is not { } ioas)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.IoasId);
        }

        var answer = await scope.Grains.CallAsync<IIoasGrain, (uint Room, ulong WritableBytes), IovaRangesReply>(
            ioas, (cmd.NumIovas, call.Buffer(0).WritableBytes), static (grain, stamp, array) => grain.IovaRangesAsync(stamp, array.Room, array.WritableBytes));
        if (answer.Errno is not (Errno.None or Errno.EMSGSIZE or Errno.EFAULT))
        {
            return Failure.Of(answer, ioas);
        }

        var rest = new IoctlReply
        {
            Errno = answer.Errno,
            Diagnostic = answer.Diagnostic,
            Buffers = answer.Ranges.Length == 0 ? null : [new UserBufferWrite(cmd.AllowedIovas, answer.Ranges)],
        };
        if (answer.Errno == Errno.EFAULT)
        {
            return rest;
        }

        cmd.NumIovas = answer.Count;
        cmd.OutIovaAlignment = answer.Alignment;
        return call.Respond(in cmd, rest);
    }

    /// <summary>IOMMU_IOAS_ALLOW_IOVAS.</summary>
    public static async ValueTask<IoctlReply> AllowIovas(IoctlScope scope, IoctlCommand call)
    {
        var cmd = call.Read<IommuIoasAllowIovas>();
        if (IoasChecks.Reserved(cmd.Reserved) != Errno.None)
        {
            return Failure.Unsupported(DiagnosticReason.ReservedNotZero, cmd.Reserved);
        }

        if (scope.Context.Objects.Find<IoasEntry>(cmd.IoasId) is not { } ioas)
        {
            return Failure.ObjectNotFound(scope.Context.Objects, cmd.IoasId);
        }

        var array = call.Buffer(0);
        if (scope.CheckRoom(array.Content.Length / Unsafe.SizeOf<IommuIovaRange>()) is { Succeeded: false } full)
        {
            return full.ToReply();
        }

        var answer = await scope.Grains.CallAsync<IIoasGrain, (uint Count, byte[] Content), ObjectReply>(
            ioas, (cmd.NumIovas, array.Content), static (grain, stamp, list) => grain.AllowIovasAsync(stamp, list.Count, list.Content));
        return answer.Errno switch
        {
            Errno.None => IoctlReply.Success,

            // All of it can be read, but more than travels.
            Errno.EFAULT when array.ReadableBytes > (ulong)array.Content.Length
                => Failure.Reply(Errno.ENOMEM, DiagnosticReason.RequestTooLarge, cmd.NumIovas * (ulong)Unsafe.SizeOf<IommuIovaRange>(), IoctlLimits.MaxBufferBytes),
            _ => Failure.Of(answer, ioas),
        };
    }

    // What the commands that answer one number have in common: look up, make sure of the answer, call, answer.
    private static ValueTask<IoctlReply> RunAsync<T, TArgument>(
        IoctlScope scope,
        IoctlCommand call,
        uint ioasId,
        T cmd,
        TArgument argument,
        Func<IIoasGrain, ObjectStamp, TArgument, PinFacts, ValueTask<PinReply>> run,
        Func<T, ulong, T> answer)
        where T : unmanaged
    {
        if (scope.Context.Objects.Find<IoasEntry>(ioasId) is not { } ioas)
        {
            return ValueTask.FromResult(Failure.ObjectNotFound(scope.Context.Objects, ioasId));
        }

        return call.CanRespond<T>() ? CallAsync(scope, call, ioas, cmd, argument, run, answer) : ValueTask.FromResult(call.Respond(in cmd));
    }

    private static async ValueTask<IoctlReply> CallAsync<T, TArgument>(
        IoctlScope scope,
        IoctlCommand call,
        IoasEntry ioas,
        T cmd,
        TArgument argument,
        Func<IIoasGrain, ObjectStamp, TArgument, PinFacts, ValueTask<PinReply>> run,
        Func<T, ulong, T> answer)
        where T : unmanaged
    {
        var reply = await scope.Grains.CallAsync<IIoasGrain, (TArgument Argument, Func<IIoasGrain, ObjectStamp, TArgument, PinFacts, ValueTask<PinReply>> Run), PinReply>(
            ioas, (argument, run), static (grain, stamp, all) => all.Run(grain, stamp, all.Argument, default));

        // Only memory that has a limit is asked for twice, so all else has no more to await.
        if (reply.Errno == Errno.EAGAIN)
        {
            reply = await IoasPinningHandlers.CallAsync(scope, ioas, argument, run);
        }

        return reply.Errno == Errno.None ? call.Respond(answer(cmd, reply.Value)) : Failure.Of(reply, ioas);
    }

    private static IoctlReply CheckFailed(Errno errno, IommuIoasMapFlags flags, uint reserved = 0) => errno switch
    {
        Errno.EOPNOTSUPP when reserved != 0 => Failure.Unsupported(DiagnosticReason.ReservedNotZero, reserved),
        Errno.EOPNOTSUPP => Failure.Unsupported(DiagnosticReason.UnsupportedFlags, (uint)(flags & ~IoasChecks.KnownMapFlags)),
        Errno.EOVERFLOW => Failure.Reply(errno, DiagnosticReason.NumberTooLarge, ulong.MaxValue, ulong.MaxValue - 1),
        _ => Failure.Reply(errno, DiagnosticReason.MappingWithoutAccess, (uint)flags),
    };
}
