using System.Diagnostics;
using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Telemetry;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

// The part that all object grains share: which life of the object the activation is in. It calls nobody, and has no way to.
//
// Always: the model belongs to the life that the greatest stamp names. A call of an earlier life finds nothing; a call of a
// later one starts it afresh, but only if it may: otherwise the state of that life is lost, and saying so beats inventing one.
//
// Enter and Reply enclose a turn. Between them is synchronous code, so that there is one turn at a time, and a traced turn's span can wait in a field.
//
// The grain's context comes from the accessor. Injected itself it would be a service of the activation's scope, which then keeps
// a list and a dictionary for it: an eighth of what an idle object costs.

/// <summary>An object's grain around its pure model.</summary>
internal abstract class ObjectGrain<TModel>(IGrainContextAccessor accessor) : IGrainBase, IObjectGrain
    where TModel : class
{
    private (long Epoch, long Serial) _life;
    private TModel? _model;
    private Activity? _span;

    public IGrainContext GrainContext { get; } = accessor.GrainContext;

    public ValueTask DestroyAsync(ObjectStamp stamp)
    {
        if (IsAtLeastCurrent(stamp))
        {
            _life = (stamp.Epoch, stamp.Serial);
            _model = null;
            this.DeactivateOnIdle();
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask<ObjectState?> InspectAsync(ObjectStamp stamp, StatePage page)
        => ValueTask.FromResult(_model is { } model && _life == (stamp.Epoch, stamp.Serial) ? Inspect(model, page with { Limit = Math.Clamp(page.Limit, 0, IoctlLimits.MaxInspectionPage) }) : null);

    public ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectStamp stamp)
        => ValueTask.FromResult(_model is { } model && _life == (stamp.Epoch, stamp.Serial) ? Snapshot(model) : null);

    public ValueTask<ObjectReply> RestoreAsync(ObjectStamp stamp, ObjectSnapshot snapshot)
    {
        if ((stamp.Epoch, stamp.Serial).CompareTo(_life) <= 0)
        {
            return Lost<ObjectReply>();
        }

        _model = Restore(stamp, snapshot);
        _life = (stamp.Epoch, stamp.Serial);
        return ValueTask.FromResult(new ObjectReply(Errno.None, 0, Size: SizeOf(_model)));
    }

    /// <summary>Begins a turn: the model of the life that a call is for; null where this activation doesn't have it.</summary>
    /// <param name="stamp">The life.</param>
    /// <param name="method">The call.</param>
    protected TModel? Enter(ObjectStamp stamp, [CallerMemberName] string method = "")
    {
        // A turn that threw has left its span behind.
        _span?.Dispose();
        _span = TurnSpans.StartObject(GetType().Name, method);
        var life = (stamp.Epoch, stamp.Serial);
        if (_life == life)
        {
            return _model;
        }

        if (!stamp.MayBuild || !IsAtLeastCurrent(stamp))
        {
            return null;
        }

        _life = life;
        return _model = Build(stamp);
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

    /// <summary>Makes the model of a new object.</summary>
    protected abstract TModel Build(ObjectStamp stamp);

    /// <summary>Writes the model down.</summary>
    protected abstract ObjectSnapshot Snapshot(TModel model);

    /// <summary>Makes a model of what <see cref="Snapshot"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is of another kind of object, or makes no sense.</exception>
    protected abstract TModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot);

    /// <summary>What <see cref="ObjectReply.Size"/> tells of the model; 0 for kinds that have none.</summary>
    protected virtual int SizeOf(TModel model) => 0;

    /// <summary>Shows the model.</summary>
    protected abstract ObjectState? Inspect(TModel model, StatePage page);

    private bool IsAtLeastCurrent(ObjectStamp stamp) => (stamp.Epoch, stamp.Serial).CompareTo(_life) >= 0;
}
