using IommuFd.GrainInterfaces;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Inspection;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Grains.Monitoring;
using IommuFd.Uapi;

namespace IommuFd.Grains.Contexts;

/// <content>What people see of a context, and what operators do to it.</content>
internal sealed partial class ContextGrain
{
    // A client that leaves out what it asks for gets the least there is.
    public Task<TailReply> TailAsync(ContextHandle handle, TailRequest request) => TailAsync(Admits(handle), request ?? new TailRequest(0, 0, 0));

    public Task<BusyExplanation> ExplainBusyAsync(ContextHandle handle, ObjectId id) => ExplainBusyAsync(Admits(handle), id);

    public Task<HolderGraph> InspectGraphAsync(ContextHandle handle, GraphRequest request) => InspectGraphAsync(Admits(handle), request ?? new GraphRequest(default, default, 0));

    public Task<ContextInspection> InspectAsync(ContextHandle handle, InspectRequest request, CancellationToken cancellationToken)
        => InspectAsync(Admits(handle), request ?? new InspectRequest(default, 0, WithState: false), cancellationToken);

    public Task<ObjectInspection?> InspectObjectAsync(ContextHandle handle, ObjectId id, StatePage page) => InspectObjectAsync(Admits(handle), id, page);

    // What is seen of a context that another activation has taken is not so any more.
    private async Task<T> ConfirmedAsync<T>(T seen)
    {
        await _journal.ConfirmAsync();
        return seen;
    }

    private Task<TailReply> TailAsync(bool isAdmitted, TailRequest request)
        => OpenFor(isAdmitted) is not null && _monitored is { } monitored
            ? ConfirmedAsync(monitored.Tail.Read(request))
            : Task.FromResult(new TailReply(ErrnoOf(NotOpen(isAdmitted)), 0, 0, 0, []));

    private Task<BusyExplanation> ExplainBusyAsync(bool isAdmitted, ObjectId id)
        => OpenFor(isAdmitted) is { } context
            ? ConfirmedAsync(BusyExplainer.Explain(context, id))
            : Task.FromResult(new BusyExplanation(ErrnoOf(NotOpen(isAdmitted)), new ObjectRef(ObjectType.Any, id), 0, [], false));

    private Task<HolderGraph> InspectGraphAsync(bool isAdmitted, GraphRequest request)
        => OpenFor(isAdmitted) is { } context
            ? ConfirmedAsync(GraphWalker.Walk(context, request))
            : Task.FromResult(new HolderGraph { Errno = ErrnoOf(NotOpen(isAdmitted)) });

    private async Task<ContextInspection> InspectAsync(bool isAdmitted, InspectRequest request, CancellationToken cancellationToken)
        => OpenFor(isAdmitted) is { } context
            ? await ConfirmedAsync(await ContextInspector.InspectAsync(context, _grains!, RuntimeIdentity, request, cancellationToken))
            : new ContextInspection { Errno = ErrnoOf(NotOpen(isAdmitted)) };

    private async Task<ObjectInspection?> InspectObjectAsync(bool isAdmitted, ObjectId id, StatePage page)
    {
        if (OpenFor(isAdmitted) is not { } context)
        {
            DeactivateUnlessOpen();
            return null;
        }

        return await ConfirmedAsync(await ContextInspector.InspectObjectAsync(context, _grains!, id, page));
    }

    private Task<PutReply> OperateAsync(bool isAdmitted, OperatorRequest request)
    {
        if (OpenFor(isAdmitted) is not { } context)
        {
            var closed = NotOpen(isAdmitted);
            return Task.FromResult(new PutReply(ErrnoOf(closed), null, closed));
        }

        if (!ContextModel.IsName(request.Operator))
        {
            return Task.FromResult(Refuse(Errno.EINVAL, DiagnosticReason.InvalidName));
        }

        return request switch
        {
            ReleaseContextRequest => ReleaseByOperatorAsync(context, request.Operator),
            DropDriverRequest drop => DropDriverAsync(context, drop),
            DropStuckHoldRequest drop => DropHoldAsync(context, drop),
            _ => Task.FromResult(Refuse(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedRequest)),
        };

        static PutReply Refuse(Errno errno, DiagnosticReason reason) => new(errno, null, Failure.Because(reason));
    }

    // All references are put in one step, so that no inspection sees the context with a part of them. An owner that puts its reference later gets EBADF.
    private async Task<PutReply> ReleaseByOperatorAsync(ContextModel context, string name)
    {
        var references = context.References.ToList();
        references.ForEach(reference => context.Put(reference.Id));
        var reply = await ReleaseAsync(context, _grains!, default);
        logger.OperatorReleased(name, Key.Tag, references.Count);
        return reply;
    }

    private async Task<PutReply> DropDriverAsync(ContextModel context, DropDriverRequest request)
    {
        if (context.FindDriver(request.Reference) is not { } driver)
        {
            return new PutReply(Errno.EBADF, null, Failure.Because(DiagnosticReason.ReferenceNotFound));
        }

        var holds = driver.HeldCount;
        var reply = await PutAsync(context, request.Reference);
        logger.OperatorDroppedDriver(request.Operator, driver.Id.Value, driver.Name, Key.Tag, holds);
        return reply;
    }

    private async Task<PutReply> DropHoldAsync(ContextModel context, DropStuckHoldRequest request)
    {
        var (driver, held) = (context.FindDriver(request.Reference), context.FindHold(request.Hold)?.Target.Id ?? default);
        var reply = await DriverHandler.DropAsync(Scope, request.Reference, request.Hold);
        var record = new DriverRecord(request.Reference, new DropHoldRequest(request.Hold), default, reply);
        await _journal.CommitAsync(reply.Errno == Errno.None ? record : null, Scope);
        if (reply.Errno == Errno.None)
        {
            logger.OperatorDroppedHold(request.Operator, request.Hold.Value, driver!.Name, held, Key.Tag);
        }

        return new PutReply(reply.Errno, null, reply.Diagnostic);
    }

    // There is no context to record the ioctl, but the silo has answered it.
    private IoctlReply Counted(IoctlRequest? request, IoctlReply reply)
    {
        statistics.CountIoctl(request?.Command ?? 0, reply.Errno);
        return reply;
    }

    // Records an ioctl that did not run.
    private IoctlReply Recorded(IoctlRequest? request, IoctlReply reply, long begun)
    {
        _monitored?.Record(request, reply, begun, hasWaited: false);
        return reply;
    }
}
