using System.Diagnostics;
using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using IommuFd.Grains.Proofs;
using IommuFd.Grains.Telemetry;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

// The part that all object grains share: which life of the object the activation has, and how many users it must have. It calls no
// grain, and has no way to.
//
// Always: the model belongs to the life that the greatest stamp names. A call of an earlier life finds nothing; a call of a later one
// starts it afresh, but only if it may: otherwise the state of that life is lost, and saying so beats inventing one.
//
// Users are derived, not counted: what the model has of holders, and the holds that the grain is told of since they leave no other trace:
// those that drivers have taken by name, and those of objects that only refer to this one.
//
// Enter and Reply enclose a turn. Between them is synchronous code, so that there is one turn at a time, and a traced turn's span can
// wait in a field.
//
// A call comes by a message, through Invoke, which lets those pass that a silo has made. Any other is a call of no life, whatever its stamp says,
// and an activation without a model that it has made ends. Or the context on this silo makes it within its own turn (NearObjects). Both hold the
// grain's own lock while they run.
//
// The grain's context comes from the accessor. Injected itself it would be a service of the activation's scope, which then keeps a list
// and a dictionary for it: an eighth of what an idle object costs.
//
// Without a host it is no activation: its context keeps it, and alone calls it (ObjectGrains). It is the same code on the same state.

/// <summary>An object's grain around its pure model.</summary>
/// <param name="host">The silo of its activation; null where its context keeps it.</param>
internal abstract class ObjectGrain<TModel>(ObjectHost? host) : IGrainBase, IObjectGrain, IIncomingGrainCallFilter, INearObject
    where TModel : class
{
    private (long Epoch, long Serial) _life;
    private TModel? _model;
    private Activity? _span;
    private bool _hasEnded;

    // How many holds the grain was told of, by part. Hardly any object has some.
    private Dictionary<ObjectId, int>? _toldHolds;

    /// <summary>The activation; null where its context keeps the object.</summary>
    public IGrainContext GrainContext { get; } = host?.Accessor.GrainContext!;

    /// <summary>The object's id, where its context keeps it.</summary>
    public ObjectId KeptId { get; init; }

    public Task Invoke(IIncomingGrainCallContext context)
        => context.Request.GetArgument(0) is ObjectStamp stamp && !host!.Proofs.IsKnown(stamp.Proof) ? InvokeUnlessMadeUpAsync(context, stamp.Proof) : InvokeAlone(context);

    public Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        host?.Near.Withdraw(GrainContext.GrainId, this);
        lock (this)
        {
            _hasEnded = true;
        }

        return Task.CompletedTask;
    }

    bool INearObject.HasEnded => Volatile.Read(ref _hasEnded);

    bool INearObject.TryEnter(long epoch, long serial)
    {
        if (!Monitor.TryEnter(this))
        {
            return false;
        }

        if (!_hasEnded && _model is not null && _life == (epoch, serial))
        {
            return true;
        }

        Monitor.Exit(this);
        return false;
    }

    void INearObject.Leave() => Monitor.Exit(this);

    public ValueTask<ObjectReply> DestroyAsync(ObjectStamp stamp, ObjectId part, DestroyMode mode)
    {
        if (part != default)
        {
            return Enter(stamp) is { } aggregate ? Reply(DestroyPart(aggregate, part, mode)) : Lost<ObjectReply>();
        }

        if (!IsAtLeastCurrent(stamp))
        {
            return ValueTask.FromResult(new ObjectReply(Errno.None, 0));
        }

        if (mode == DestroyMode.IfUnused && Find(stamp) is { } model && Users(model, part) is > 1 and var users)
        {
            return ValueTask.FromResult(InUse(users, SizeOf(model)));
        }

        _life = (stamp.Epoch, stamp.Serial);
        (_model, _toldHolds) = (null, null);
        Volatile.Write(ref _hasEnded, true);
        OnEnded();
        if (host is not null)
        {
            this.DeactivateOnIdle();
        }

        return ValueTask.FromResult(new ObjectReply(Errno.None, 0));
    }

    public ValueTask<long?> UsersAsync(ObjectStamp stamp, ObjectId part) => ValueTask.FromResult(Find(stamp) is { } model ? Users(model, part) : null);

    public ValueTask<ObjectReply> HoldAsync(ObjectStamp stamp, ObjectId part)
    {
        if (Enter(stamp) is not { } model)
        {
            return Lost<ObjectReply>();
        }

        if (Users(model, part) is null)
        {
            return Reply(new ObjectReply(Errno.ENOENT, 0, Size: SizeOf(model)));
        }

        _toldHolds ??= [];
        _toldHolds[part] = _toldHolds.GetValueOrDefault(part) + 1;
        return Reply(new ObjectReply(Errno.None, 0, Size: SizeOf(model)));
    }

    public ValueTask<ObjectReply> DropAsync(ObjectStamp stamp, ObjectId part)
    {
        if (Enter(stamp) is not { } model || _toldHolds?.GetValueOrDefault(part) is not > 0)
        {
            return Lost<ObjectReply>();
        }

        if (--_toldHolds[part] == 0)
        {
            _toldHolds.Remove(part);
        }

        return Reply(new ObjectReply(Errno.None, 0, Size: SizeOf(model)));
    }

    public ValueTask<ObjectReading?> InspectAsync(ObjectStamp stamp, StatePage page)
        => ValueTask.FromResult<ObjectReading?>(Find(stamp) is { } model && Users(model, page.Part) is { } users
            ? new ObjectReading(Inspect(model, page with { Limit = Math.Clamp(page.Limit, 0, IoctlLimits.MaxInspectionPage) }), users)
            : null);

    public ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectStamp stamp) => ValueTask.FromResult(Find(stamp) is { } model ? Snapshot(model) : null);

    public ValueTask<ObjectReply> RestoreAsync(ObjectStamp stamp, ObjectSnapshot snapshot)
    {
        if ((stamp.Epoch, stamp.Serial).CompareTo(_life) <= 0)
        {
            return Lost<ObjectReply>();
        }

        (_model, _toldHolds) = (Restore(stamp, snapshot), null);
        BeginLife(stamp);
        return ValueTask.FromResult(new ObjectReply(Errno.None, 0, Size: SizeOf(_model), Pinned: TakePins(_model)));
    }

    /// <summary>Begins a turn: the model of the life that a call is for; null where this activation doesn't have it.</summary>
    /// <param name="stamp">The life.</param>
    /// <param name="method">The call.</param>
    protected TModel? Enter(ObjectStamp stamp, [CallerMemberName] string method = "")
    {
        // A turn that threw has left its span behind.
        _span?.Dispose();
        _span = TurnSpans.StartObject(GetType().Name, method, GrainContext, KeptId);
        if (_life == (stamp.Epoch, stamp.Serial))
        {
            return _model;
        }

        if (!IsAtLeastCurrent(stamp))
        {
            return null;
        }

        if (host?.Near.TakeMoved(GrainContext.GrainId, stamp) is ObjectGrain<TModel> kept)
        {
            (_model, _toldHolds) = (kept._model, kept._toldHolds);
        }
        else if (stamp.MayBuild && Build(stamp) is { } model)
        {
            (_model, _toldHolds) = (model, null);
        }
        else
        {
            return null;
        }

        BeginLife(stamp);
        return _model;
    }

    /// <summary>Runs synchronous code as a turn does: alone in the grain.</summary>
    protected T RunAlone<T>(Func<T> run)
    {
        lock (this)
        {
            return run();
        }
    }

    /// <summary>The answer to a call for a life that this activation doesn't have.</summary>
    protected ValueTask<TReply> Lost<TReply>()
        where TReply : struct, IObjectReply<TReply>
        => Reply(TReply.Failed(Errno.EIO, null));

    /// <summary>Ends a turn with an answer.</summary>
    protected ValueTask<TReply> Reply<TReply>(TReply reply)
        where TReply : struct, IObjectReply<TReply>
    {
        if (_span is { } span)
        {
            _span = null;
            span.End(reply.Errno);
        }

        return ValueTask.FromResult(reply);
    }

    /// <summary>Makes the model of a new object; null where the stamp lacks what it is built of.</summary>
    protected abstract TModel? Build(ObjectStamp stamp);

    /// <summary>Saves the model.</summary>
    protected abstract ObjectSnapshot Snapshot(TModel model);

    /// <summary>Makes a model of what <see cref="Snapshot"/> saved.</summary>
    /// <exception cref="InvalidDataException">It is of another kind of object, or makes no sense.</exception>
    protected abstract TModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot);

    /// <summary>The holders that the model shows, of the object or of a part: those that it was told of not among them. Null where there is no such part.</summary>
    protected abstract long? Holders(TModel model, ObjectId part);

    /// <summary>Ends a part that is free to go.</summary>
    protected virtual void RemovePart(TModel model, ObjectId part) => throw new InvalidOperationException($"{GetType().Name} has no parts.");

    /// <summary>What <see cref="ObjectReply.Size"/> tells of the model; 0 for kinds that have none.</summary>
    protected virtual int SizeOf(TModel model) => 0;

    /// <summary>What <see cref="ObjectReply.Pinned"/> tells of the model; null for kinds that pin nothing.</summary>
    protected virtual PinTally? TakePins(TModel model) => null;

    /// <summary>Shows the model, or a part.</summary>
    protected abstract ObjectState? Inspect(TModel model, StatePage page);

    /// <summary>The object has ended.</summary>
    protected virtual void OnEnded()
    {
    }

    /// <summary>The model of the life that a call is for, outside a turn; null where this activation doesn't have it.</summary>
    protected TModel? Find(ObjectStamp stamp) => _life == (stamp.Epoch, stamp.Serial) ? _model : null;

    private async Task InvokeUnlessMadeUpAsync(IIncomingGrainCallContext context, SiloProof? proof)
    {
        if (!await host!.Proofs.IsGenuineAsync(proof, GrainContext.GrainId))
        {
            context.Request.SetArgument(0, default(ObjectStamp));
            if (_model is null)
            {
                this.DeactivateOnIdle();
            }
        }

        await InvokeAlone(context);
    }

    // What a call does before it first waits, and only polls wait, it does alone.
    private Task InvokeAlone(IIncomingGrainCallContext context)
    {
        lock (this)
        {
            return context.Invoke();
        }
    }

    private void BeginLife(ObjectStamp stamp)
    {
        _life = (stamp.Epoch, stamp.Serial);
        host?.Near.Offer(GrainContext.GrainId, this);
    }

    private long? Users(TModel model, ObjectId part) => 1 + Holders(model, part) + (_toldHolds?.GetValueOrDefault(part) ?? 0);

    private ObjectReply DestroyPart(TModel model, ObjectId part, DestroyMode mode)
    {
        if (mode == DestroyMode.IfUnused && Users(model, part) is > 1 and var users)
        {
            return InUse(users, SizeOf(model));
        }

        RemovePart(model, part);
        _toldHolds?.Remove(part);
        return new ObjectReply(Errno.None, 0, Size: SizeOf(model), Pinned: TakePins(model));
    }

    private static ObjectReply InUse(long users, int size) => new(Errno.EBUSY, (ulong)users, Failure.Because(DiagnosticReason.UsersDisagree, (ulong)users), size);

    private bool IsAtLeastCurrent(ObjectStamp stamp) => (stamp.Epoch, stamp.Serial).CompareTo(_life) >= 0;
}
