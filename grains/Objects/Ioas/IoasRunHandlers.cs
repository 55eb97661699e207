using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// A batch that maps and unmaps in one IOAS would call its grain once for each ioctl, and save the way to the context only. What
// follows each other on one IOAS goes to its grain together. Only ioctls of which everything but the IOAS's own answer is known
// join a run; any other ends it and takes the ordinary way, so that errnos and their order are those of one by one.

/// <summary>Maps and unmaps of a batch that follow each other on one IOAS.</summary>
internal static class IoasRunHandlers
{
    /// <summary>The longest run that starts at a place of the batch; fewer than two are none. Decodes the run and at most one ioctl behind it.</summary>
    public static bool TryFind(IoctlScope scope, ReadOnlySpan<IoctlRequest> requests, out Run run)
    {
        run = default;
        List<IoasStep>? steps = null;
        IoasEntry? target = null;
        var maps = 0;
        foreach (var request in requests)
        {
            // One that is to fail somewhere goes alone, and so does one whose memory may have to be charged.
            if (request?.Fault is not null || request?.Limits is not (null or CallerLimits.None) || !TryRead(request, out var ioasId, out var step) || (target is not null && target.Id.Value != ioasId))
            {
                break;
            }

            target ??= scope.Context.Objects.Find<IoasEntry>(ioasId);
            if (target is null)
            {
                break;
            }

            // Unmaps need no room. The run ends before the first map that there may be no room for: the next run asks again, when the unmaps
            // before it have given room back.
            if (!step.IsUnmap && !scope.Grains.CheckRoom(++maps).Succeeded)
            {
                break;
            }

            (steps ??= []).Add(step);
        }

        if (steps is not { Count: > 1 })
        {
            return false;
        }

        run = new Run(target!, [.. steps]);
        return true;
    }

    /// <summary>Runs them, and adds their replies.</summary>
    public static async ValueTask RunAsync(IoctlScope scope, Run run, ArraySegment<IoctlRequest> requests, bool stopAtFirstError, List<IoctlReply> replies)
    {
        var answer = await scope.Grains.CallAsync<IIoasGrain, (IoasStep[] Steps, bool Stop), IoasStepsReply>(
            run.Ioas, (run.Steps, stopAtFirstError), static (grain, stamp, argument) => grain.RunAsync(stamp, argument.Steps, argument.Stop));
        if (answer.Errno != Errno.None)
        {
            replies.AddRange(Enumerable.Repeat(Failure.Of(answer, run.Ioas), stopAtFirstError ? 1 : run.Steps.Length));
            return;
        }

        for (var i = 0; i < answer.Replies.Length; i++)
        {
            replies.Add(Reply(run, requests[i], run.Steps[i].IsUnmap, answer.Replies[i]));
        }
    }

    private static IoctlReply Reply(Run run, IoctlRequest request, bool isUnmap, ObjectReply reply)
    {
        if (reply.Errno != Errno.None)
        {
            return Failure.Of(reply, run.Ioas);
        }

        if (isUnmap)
        {
            var unmap = Call(IommuCommand.IoasUnmap, request);
            return unmap.Respond(unmap.Read<IommuIoasUnmap>() with { Length = reply.Value });
        }

        var map = Call(IommuCommand.IoasMap, request);
        return map.Respond(map.Read<IommuIoasMap>() with { Iova = reply.Value });
    }

    private static bool TryRead(IoctlRequest? request, out uint ioasId, out IoasStep step)
    {
        (ioasId, step) = (0, default);
        if (request?.Command is not ((uint)IommuCommand.IoasMap or (uint)IommuCommand.IoasUnmap)
            || Prevalidation.Check(request, out _).Errno != Errno.None)
        {
            return false;
        }

        return request.Command == (uint)IommuCommand.IoasUnmap ? TryReadUnmap(request, out ioasId, out step) : TryReadMap(request, out ioasId, out step);
    }

    private static bool TryReadUnmap(IoctlRequest request, out uint ioasId, out IoasStep step)
    {
        var call = Call(IommuCommand.IoasUnmap, request);
        var cmd = call.Read<IommuIoasUnmap>();
        ioasId = cmd.IoasId;
        step = new IoasStep(IsUnmap: true, new IoasMapRequest { Iova = cmd.Iova, Length = cmd.Length });
        return call.CanRespond<IommuIoasUnmap>();
    }

    private static bool TryReadMap(IoctlRequest request, out uint ioasId, out IoasStep step)
    {
        var call = Call(IommuCommand.IoasMap, request);
        var cmd = call.Read<IommuIoasMap>();
        ioasId = cmd.IoasId;
        step = new IoasStep(IsUnmap: false, IoasMappingHandlers.RequestOf(cmd, call));
        return call.CanRespond<IommuIoasMap>()
            && IoasChecks.Map((IommuIoasMapFlags)cmd.Flags, cmd.Reserved, cmd.Iova, cmd.Length) == Errno.None;
    }

    private static IoctlCommand Call(IommuCommand command, IoctlRequest request) => new(IoctlTable.Get(command), request);

    /// <summary>A run and the IOAS that it is on.</summary>
    internal readonly record struct Run(IoasEntry Ioas, IoasStep[] Steps);
}
