using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Grains.Monitoring;
using IommuFd.Uapi;

namespace IommuFd.Grains.Contexts;

// A context starts on a silo when it is opened, recovered from its journal or handed over. It ends there when its last reference is put,
// when it is handed over, or when its activation deactivates. While it is open its grain is never collected as idle; without an open context
// the grain deactivates as soon as it has answered, so that guesses leave nothing behind.
//
// Always: Context is null unless a context is open here and this activation may answer for it. Everything that follows from an open context
// (its place in the quota and the directory, its leases) begins in Start and ends in Leave.

/// <content>How a context starts and ends on a silo.</content>
internal sealed partial class ContextGrain
{
    // Long enough that a store which fails is not asked again for each request, short enough that nobody waits long for one that works again.
    private static readonly TimeSpan RestAfterFailure = TimeSpan.FromSeconds(1);

    // Made when the grain is activated, before any call.
    private ContextTurnJournal _journal = null!;
    private ProgramMemory _programs = null!;
    private ContextModel? _context;
    private ObjectGrains? _grains;
    private MonitoredContext? _monitored;
    private long? _client;

    private ContextModel? Context => _journal.IsUnavailable ? null : _context;

    /// <summary>Takes over a context that another silo hands over, or that has a journal.</summary>
    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        var begun = time.GetTimestamp();
        _journal = new ContextTurnJournal(GrainContext, Key, siloJournal, serializer, options.Value.SnapshotAfterBytes, logger);
        _programs = new ProgramMemory(GrainFactory, options.Value.ProgramPatience, logger, Key.Tag);
        try
        {
            if (!await TryArriveAsync() && await _journal.RecoverAsync(Reach, cancellationToken) is { } recovered)
            {
                await ResumeAsync(recovered, begun);
            }
        }
        catch (ContextUnavailableException)
        {
            // The activation deactivates already, or soon, and throws the same to each caller.
            if (_journal.IsResting)
            {
                this.RegisterGrainTimer(_ => { DeactivateOnIdle(); return Task.CompletedTask; }, new GrainTimerCreationOptions(RestAfterFailure, Timeout.InfiniteTimeSpan) { Interleave = true });
            }
        }
    }

    /// <summary>Ends the grains of a context that the next activation recovers. It makes its own, in a later epoch.</summary>
    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        Leave();
        if (_journal.IsAbandoned(_context is not null))
        {
            abandoned.Add(Key);
        }

        // Where the silo stops, the objects' grains deactivate by themselves: a call would activate empty ones on another silo.
        if (_journal.IsDurable && _grains is { } grains && reason.ReasonCode != DeactivationReasonCode.ShuttingDown)
        {
            await grains.EndAllAsync();
        }
    }

    public async Task<ReferenceReply> OpenAsync(ContextHandle handle, OpenRequest request)
    {
        if (!Admits(handle))
        {
            return Refused(NotOpen(isAdmitted: false));
        }

        // What a client left out has no name.
        request ??= new OpenRequest(null, "");

        if (Context is null && _journal.WhyUnavailable() is { Reason: not DiagnosticReason.ContextNotOpen } failure)
        {
            DeactivateUnlessOpen();
            return Refused(failure);
        }

        var mode = request.Mode ?? options.Value.DefaultMode;
        if (Context is null && mode == ContextMode.Volatile && quota.IsClosed)
        {
            throw _journal.Deactivate("its silo stops");
        }

        var context = Context ?? new ContextModel();
        if (!context.IsOpen && (Admit(request.Client, request.ClientLimit) ?? (mode == ContextMode.Durable ? await _journal.CreateAsync() : null)) is { } refusal)
        {
            DeactivateUnlessOpen();
            return refusal;
        }

        var (wasOpen, now) = (context.IsOpen, time.GetUtcNow().UtcTicks);
        var reply = context.Open(mode, request.Name, request.Session, now);
        if (reply.Errno == Errno.None && !wasOpen)
        {
            // The clock makes the epochs of a volatile context's lives grow from one activation to the next.
            (_context, _grains) = (context, _grains ?? new ObjectGrains(Reach, Key, _journal.ObjectEpoch ?? now, logger));
            await _journal.CommitAsync(new OpenRecord(request, reply) { OpenedTicks = now }, Scope);
            Start();
            logger.ContextOpened(Key.Tag, mode, request.Name);
        }
        else if (wasOpen)
        {
            await _journal.CommitAsync(null, Scope);
        }

        DeactivateUnlessOpen();
        return WithLease(reply);
    }

    public async Task<ReferenceReply> GetAsync(ContextHandle handle, GetRequest request)
    {
        var isAdmitted = Admits(handle);
        if (OpenFor(isAdmitted) is not { } context)
        {
            return Refused(NotOpen(isAdmitted));
        }

        request ??= new GetRequest(default, "");
        var references = context.References.Count;
        var reply = context.Get(request.Kind, request.Name, request.Session);
        await _journal.CommitAsync(context.References.Count > references ? new GetRecord(request, reply) : null, Scope);
        if (context.Find(reply.Reference) is { } reference)
        {
            reference.LastSign = time.GetTimestamp();
        }

        return WithLease(reply);
    }

    public async Task<PutReply> PutAsync(ContextHandle handle, ReferenceId reference)
    {
        var isAdmitted = Admits(handle);
        if (OpenFor(isAdmitted) is { } context)
        {
            return await PutAsync(context, reference);
        }

        if (isAdmitted && _journal.FindReleasedReply(reference) is { } released)
        {
            DeactivateUnlessOpen();
            return released;
        }

        var failure = NotOpen(isAdmitted);
        return new PutReply(ErrnoOf(failure), null, failure);
    }

    private async Task<PutReply> PutAsync(ContextModel context, ReferenceId reference)
    {
        var errno = await ContextOperations.PutAsync(Scope, reference);
        if (context.IsOpen || errno != Errno.None)
        {
            await _journal.CommitAsync(errno == Errno.None ? new PutRecord(reference) : null, Scope);
            await SettlePinsAsync();
            return new PutReply(errno, null, errno == Errno.None ? null : Failure.Because(DiagnosticReason.ReferenceNotFound));
        }

        return await ReleaseAsync(context, _grains!, reference);
    }

    // No caller finds the context any more when the first of its objects' grains is ended, so that an inspection in between sees all or nothing.
    private async Task<PutReply> ReleaseAsync(ContextModel context, ObjectGrains grains, ReferenceId last)
    {
        _context = null;
        var (destroyed, stuck) = context.Objects.Release();
        foreach (var entry in stuck)
        {
            var holders = string.Join(", ", (object[])entry.DescribeHolders(IoctlLimits.MaxListed));
            logger.ObjectStuck(Key.Tag, entry.Type, entry.Id, entry.Users, holders);
        }

        var reply = new PutReply(Errno.None, new ReleaseReport(destroyed.Count, Refs(destroyed), Refs(stuck)), null);
        await _journal.ReleaseAsync(new ReleasedReply(last, reply));
        await grains.EndAllAsync();
        await SettlePinsAsync();
        _grains = null;
        Leave();
        logger.ContextReleased(Key.Tag, destroyed.Count, stuck.Count);
        DeactivateUnlessOpen();
        return reply;

        static ObjectRef[] Refs(List<ObjectEntry> entries) => [.. entries.Take(IoctlLimits.MaxListed).Select(entry => entry.Ref)];
    }

    private async Task ResumeAsync(RecoveredContext recovered, long begun)
    {
        _grains = recovered.Grains;
        if (recovered.Context is { IsOpen: true } context)
        {
            statistics.CountRecovery();
            telemetry.NoteRecovery(time.GetElapsedTime(begun));
            if (_grains!.HasLost)
            {
                throw _journal.Deactivate("the grain of an object failed while it was recovered");
            }

            Resume(context, _grains);
            await _journal.StoreSnapshotIfDueAsync(Scope);
        }
    }

    // Goes on with a context that was open before, in an earlier activation.
    private void Resume(ContextModel context, ObjectGrains grains)
    {
        (_context, _grains) = (context, grains);
        quota.AdmitResumed();
        _client = 0;
        Start();
    }

    private void Start()
    {
        _context!.Objects.MaxObjects = options.Value.MaxObjects;
        _grains!.MaxAreas = options.Value.MaxAreas;
        _monitored = new MonitoredContext(Key, _context, time, statistics);
        directory.Add(_monitored);
        _unopened?.Dispose();
        _unopened = null;
        StartLeases(_context);
    }

    // Admits the context that is about to be opened; otherwise the refusal.
    private ReferenceReply? Admit(long client, int most)
    {
        if (_client is not null)
        {
            return null;
        }

        if (quota.TryAdmit(client, most, out var limit) is var errno && errno != Errno.None)
        {
            return new ReferenceReply(errno, default, default, default, Failure.Because(DiagnosticReason.TooManyContexts, limit: (ulong)limit));
        }

        _client = client;
        return null;
    }

    private void Leave()
    {
        StopLeases();
        if (_client is { } client)
        {
            quota.Leave(client);
            _client = null;
        }

        if (_monitored is { } monitored)
        {
            directory.Remove(monitored);
            _monitored = null;
        }
    }

    // The context moves to another silo: it is that silo's from now on.
    private void MoveAway()
    {
        _context = null;
        _journal.MoveAway("its silo stops, and it moves to another");
        Leave();
    }

    // The open context, for a call that is admitted.
    private ContextModel? OpenFor(bool isAdmitted) => isAdmitted ? Context : null;

    // Why no context is open for a call; throws where another activation has it. A call that is not admitted learns nothing. No further call may come, so the activation deactivates.
    private IoctlDiagnostic NotOpen(bool isAdmitted = true)
    {
        DeactivateUnlessOpen();
        return isAdmitted ? _journal.WhyUnavailable() : Failure.Because(DiagnosticReason.ContextNotOpen);
    }

    private void DeactivateUnlessOpen()
    {
        if (Context is null && !_journal.IsResting && _unopened is null)
        {
            DeactivateOnIdle();
        }
    }

    private static ReferenceReply Refused(IoctlDiagnostic failure) => new(ErrnoOf(failure), default, default, default, failure);

    private ReferenceReply WithLease(ReferenceReply reply) => reply.Errno == Errno.None ? reply with { Lease = options.Value.Lease } : reply;
}
