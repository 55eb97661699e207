using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects;

// The part that all object grains share: which life of the object the activation is in. It calls nobody, and has no way to.
//
// Always: the model belongs to the life that the greatest stamp names. A call of an earlier life finds nothing; a call of a
// later one starts it afresh, but only if it may: otherwise the state of that life is lost, and saying so beats inventing one.
//
// The grain's context comes from the accessor. Injected itself it would be a service of the activation's scope, which then keeps
// a list and a dictionary for it: an eighth of what an idle object costs.

/// <summary>An object's grain around its pure model.</summary>
internal abstract class ObjectGrain<TModel>(IGrainContextAccessor accessor) : IGrainBase, IObjectGrain
    where TModel : class
{
    private (long Epoch, long Serial) _life;
    private TModel? _model;

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

    /// <summary>The model of the life that a call is for; null where this activation doesn't have it.</summary>
    protected TModel? Enter(ObjectStamp stamp)
    {
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
    protected static ValueTask<TReply> Lost<TReply>()
        where TReply : struct, IObjectReply<TReply>
        => ValueTask.FromResult(TReply.Failed(Errno.EIO, null));

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
