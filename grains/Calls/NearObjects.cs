using System.Collections.Concurrent;

namespace IommuFd.Grains.Calls;

// A context calls an object on its own silo without a message: its turn enters the object's activation as one of the activation's own turns would.
// That is the same, since only its context calls an object, one call at a time, and an object's turns are synchronous.
//
// The context has the activation itself and not its address, so nothing can go stale: an activation that has ended, or has another life of
// the object, refuses to be entered, and the call goes by a message. An activation is here only from its first turn until its context has taken it.
//
// An object that its context keeps is here while it moves to its first activation: from the message that makes that until it is taken.

/// <summary>An activation of an object's grain, which its context's turn can enter.</summary>
internal interface INearObject
{
    /// <summary>Whether the activation has ended. It never lives again.</summary>
    bool HasEnded { get; }

    /// <summary>Begins a turn of the context's within the activation, unless it has ended, has another life of the object, or a turn of its own is running.</summary>
    /// <param name="epoch">The life of the context.</param>
    /// <param name="serial">The life of the object within that.</param>
    /// <returns>Whether it has begun: <see cref="Leave"/> ends it then, on the same thread.</returns>
    bool TryEnter(long epoch, long serial);

    /// <summary>Ends the turn.</summary>
    void Leave();
}

/// <summary>The activations of this silo that their contexts have yet to take. Thread-safe.</summary>
/// <param name="isOn">Whether contexts call objects without a message where they can.</param>
/// <param name="mostKept">The areas and ranges that an object has at most which its context keeps.</param>
internal sealed class NearObjects(bool isOn, int mostKept = 1024)
{
    private readonly ConcurrentDictionary<GrainId, INearObject> _offered = [];
    private readonly ConcurrentDictionary<(GrainId Grain, long Epoch, long Serial), IObjectGrain> _moved = [];

    /// <summary>Whether contexts call objects without a message where they can.</summary>
    public bool IsOn => isOn;

    /// <summary>The areas and ranges that an object has at most which its context keeps.</summary>
    public int MostKept => mostKept;

    /// <summary>Offers an activation, which has begun a life of its object.</summary>
    public void Offer(GrainId grain, INearObject activation)
    {
        if (isOn)
        {
            _offered[grain] = activation;
        }
    }

    /// <summary>Takes back what was offered, where the context is elsewhere and has not taken it.</summary>
    public void Withdraw(GrainId grain, INearObject activation) => _offered.TryRemove(KeyValuePair.Create(grain, activation));

    /// <summary>Takes the activation of an object; null where it is not on this silo.</summary>
    public INearObject? Take(GrainId grain) => isOn && _offered.TryRemove(grain, out var activation) ? activation : null;

    /// <summary>Leaves an object that its context has kept for its activation, whose first call has the same stamp.</summary>
    public void Move(GrainId grain, ObjectStamp stamp, IObjectGrain kept) => _moved[(grain, stamp.Epoch, stamp.Serial)] = kept;

    /// <summary>Takes what was left for an activation, or takes it back; null where there is nothing of that life.</summary>
    public IObjectGrain? TakeMoved(GrainId grain, ObjectStamp stamp) => _moved.TryRemove((grain, stamp.Epoch, stamp.Serial), out var kept) ? kept : null;
}
