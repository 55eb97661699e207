using IommuFd.GrainInterfaces;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;

namespace IommuFd.Grains.Contexts;

// A context as a grain: it puts the calls of its clients in order and leaves every decision to the ContextModel and the
// handlers. Never idle-collected while open; a grain whose handle names no open context goes as soon as it has said so, so that
// guessing handles leaves nothing behind.

/// <inheritdoc cref="IContextGrain"/>
[KeepAlive]
internal sealed class ContextGrain(ILogger<ContextGrain> logger, TimeProvider time) : Grain, IContextGrain
{
    private ContextModel? _context;
    private ObjectGrains? _grains;

    private ContextHandle Handle => new(this.GetPrimaryKey());

    public Task<ReferenceReply> OpenAsync(OpenRequest request)
    {
        var context = _context ?? new ContextModel();
        var reply = context.Open(request.Mode, request.Name);
        if (reply.Errno == Errno.None)
        {
            _context = context;

            // The clock makes the epochs of a handle's lives grow from one activation to the next.
            _grains = new ObjectGrains(GrainFactory, Handle, time.GetUtcNow().UtcTicks, logger);
            logger.ContextOpened(Handle.ToShortString(), request.Mode, request.Name);
        }

        LeaveUnlessOpen();
        return Task.FromResult(reply);
    }

    public ValueTask<IoctlReply> IoctlAsync(IoctlRequest request)
    {
        if (_context is not { AnswersIoctls: true } context)
        {
            LeaveUnlessOpen();
            return ValueTask.FromResult(NotOpen());
        }

        return IoctlDispatcher.DispatchAsync(new IoctlScope(context, _grains!), request);
    }

    public ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request)
    {
        if (_context is not { AnswersIoctls: true } context)
        {
            LeaveUnlessOpen();
            return ValueTask.FromResult(new IoctlBatchReply { Errno = Errno.EBADF, Diagnostic = NotOpen().Diagnostic });
        }

        if (request.Requests.Length > IoctlLimits.MaxBatch)
        {
            var tooLarge = Failure.Reply(Errno.E2BIG, DiagnosticReason.RequestTooLarge, (ulong)request.Requests.Length, IoctlLimits.MaxBatch);
            return ValueTask.FromResult(new IoctlBatchReply { Errno = tooLarge.Errno, Diagnostic = tooLarge.Diagnostic });
        }

        return RunBatchAsync(new IoctlScope(context, _grains!), request);
    }

    public Task<ReferenceReply> GetAsync(ReferenceKind kind, string name)
    {
        if (_context is null)
        {
            LeaveUnlessOpen();
            return Task.FromResult(new ReferenceReply(Errno.EBADF, default, default, default, NotOpen().Diagnostic));
        }

        return Task.FromResult(_context.Get(kind, name));
    }

    public async Task<PutReply> PutAsync(ReferenceId reference)
    {
        if (_context is not { } context)
        {
            LeaveUnlessOpen();
            return new PutReply(Errno.EBADF, null, NotOpen().Diagnostic);
        }

        // What the driver has made ends with it, but where everything does.
        if (context.References.Count > 1 && context.FindDriver(reference) is { } driver)
        {
            await DriverHandler.AbandonAsync(new IoctlScope(context, _grains!), driver);
        }

        if (context.Put(reference) is var errno && errno != Errno.None)
        {
            return new PutReply(errno, null, new IoctlDiagnostic { Reason = DiagnosticReason.ReferenceNotFound });
        }

        return new PutReply(Errno.None, context.IsOpen ? null : await ReleaseAsync(context, _grains!), null);
    }

    public Task<ReferenceReply> HoldAsync(ReferenceId reference, ObjectId id, ObjectType type, string why)
    {
        if (_context is null)
        {
            LeaveUnlessOpen();
            return Task.FromResult(new ReferenceReply(Errno.EBADF, default, default, default, NotOpen().Diagnostic));
        }

        return Task.FromResult(_context.HoldObject(reference, id, type, why));
    }

    public Task<PutReply> DropAsync(ReferenceId reference, HoldId hold)
    {
        if (_context is null)
        {
            LeaveUnlessOpen();
            return Task.FromResult(new PutReply(Errno.EBADF, null, NotOpen().Diagnostic));
        }

        return Task.FromResult(_context.DropObject(reference, hold));
    }

    public ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request)
    {
        if (_context is not { } context)
        {
            LeaveUnlessOpen();
            return ValueTask.FromResult(new DriverReply(Errno.EBADF, Diagnostic: NotOpen().Diagnostic));
        }

        return DriverHandler.RunAsync(new IoctlScope(context, _grains!), reference, request);
    }

    public Task<HolderGraph> InspectGraphAsync(GraphRequest request)
    {
        if (_context is not { } context)
        {
            LeaveUnlessOpen();
            return Task.FromResult(new HolderGraph { Errno = Errno.EBADF });
        }

        return Task.FromResult(GraphWalker.Walk(context, request));
    }

    public Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken)
    {
        if (_context is not { } context)
        {
            LeaveUnlessOpen();
            return Task.FromResult(new ContextInspection { Errno = Errno.EBADF });
        }

        return ContextInspector.InspectAsync(context, _grains!, RuntimeIdentity, request, cancellationToken);
    }

    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page)
    {
        if (_context is not { } context)
        {
            LeaveUnlessOpen();
            return Task.FromResult<ObjectInspection?>(null);
        }

        return ContextInspector.InspectObjectAsync(context, _grains!, id, page);
    }

    private static async ValueTask<IoctlBatchReply> RunBatchAsync(IoctlScope scope, IoctlBatchRequest request)
    {
        var requests = request.Requests;
        var replies = new List<IoctlReply>(requests.Length);
        while (replies.Count < requests.Length && !(request.StopAtFirstError && replies.Count > 0 && replies[^1].Errno != Errno.None))
        {
            var rest = new ArraySegment<IoctlRequest>(requests, replies.Count, requests.Length - replies.Count);
            if (IoasRunHandlers.TryFind(scope, rest, out var run))
            {
                await IoasRunHandlers.RunAsync(scope, run, rest, request.StopAtFirstError, replies);
            }
            else
            {
                replies.Add(await IoctlDispatcher.DispatchAsync(scope, rest[0]));
            }
        }

        return new IoctlBatchReply { Replies = [.. replies] };
    }

    // The context is gone for everybody before its objects' grains are ended, so that an inspection in between sees all or nothing.
    private async Task<ReleaseReport> ReleaseAsync(ContextModel context, ObjectGrains grains)
    {
        _context = null;
        _grains = null;
        var (destroyed, stuck) = context.Objects.Release();
        foreach (var entry in stuck)
        {
            logger.ObjectStuck(Handle.ToShortString(), entry.Type, entry.Id, entry.Users, string.Join(", ", (object[])entry.DescribeHolders(IoctlLimits.MaxListed)));
        }

        await grains.DestroyAllAsync();
        logger.ContextReleased(Handle.ToShortString(), destroyed.Count, stuck.Count);
        LeaveUnlessOpen();
        return new ReleaseReport(destroyed.Count, Refs(destroyed), Refs(stuck));

        static ObjectRef[] Refs(List<ObjectEntry> entries) => [.. entries.Take(IoctlLimits.MaxListed).Select(entry => entry.Ref)];
    }

    private static IoctlReply NotOpen() => Failure.Reply(Errno.EBADF, DiagnosticReason.ContextNotOpen);

    private void LeaveUnlessOpen()
    {
        if (_context is null)
        {
            DeactivateOnIdle();
        }
    }
}
