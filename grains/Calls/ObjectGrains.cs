using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;

namespace IommuFd.Grains.Calls;

// The way from a table's entries to their grains. An object's grain is activated by the first call that it gets, not by the
// ioctl that allocates the object: a fresh object is in the state that its model starts in, and costs no activation until
// its first use. Only grains that were called are told of the end. Which way a call takes is in .Calls.cs.

/// <summary>The grains of a context's objects.</summary>
internal sealed partial class ObjectGrains(ObjectReach reach, ContextKey key, long epoch, ILogger logger)
{
    // Grains that are ended at once when a context is released: enough to keep the silo busy, few enough to leave others their turn.
    private const int ReleaseConcurrency = 128;

    private readonly Dictionary<ObjectId, CalledGrain> _called = [];

    /// <summary>The context's key.</summary>
    public ContextKey Key => key;

    /// <summary>The epoch that the grains are told.</summary>
    public long Epoch => epoch;

    /// <summary>Whether an object's grain has failed, or has lost its state.</summary>
    public bool HasLost { get; private set; }

    /// <summary>The areas and the ranges, reserved and allowed, that the objects told of: what their memory grows by.</summary>
    public long Areas { get; private set; }

    /// <summary>What the objects have pinned, as they told.</summary>
    public PinLedger Pins { get; } = new();

    /// <summary>How many of them there can be. A per-silo limit, not part of the context's state: replay and restore ignore it.</summary>
    public long MaxAreas { get; set; } = long.MaxValue;

    /// <summary>ENOMEM where there is no room for more areas or ranges; success where there is.</summary>
    public OperationResult CheckRoom(long more)
        => Areas + more <= MaxAreas ? default : new(Errno.ENOMEM, default, Failure.Because(DiagnosticReason.TooManyAreas, (ulong)(Areas + more), (ulong)MaxAreas));

    /// <summary>Calls the grain of an object. Where it fails or has lost its state, the reply is EIO, which no command of the kernel answers.</summary>
    /// <param name="entry">The object.</param>
    /// <param name="argument">What the call needs.</param>
    /// <param name="call">Calls one method of the grain.</param>
    public ObjectCall<TReply> CallAsync<TGrain, TArgument, TReply>(ObjectEntry entry, TArgument argument, Func<TGrain, ObjectStamp, TArgument, ValueTask<TReply>> call)
        where TGrain : class, IObjectGrain
        where TReply : struct, IObjectReply<TReply>
    {
        if (!_called.TryGetValue(entry.Id, out var called))
        {
            called = AddCalled(entry);
        }

        ValueTask<TReply> reply;
        try
        {
            if (CallHeaders.IsTraced)
            {
                // The call carries the trace; what the turn does next does not.
                using var _ = CallHeaders.Put(isTimed: false);
                reply = HasOutgrown(called) ? ActivateAsync(entry, called, argument, call) : call((TGrain)Find(called), Stamp(entry, called), argument);
            }
            else
            {
                reply = HasOutgrown(called) ? ActivateAsync(entry, called, argument, call) : InvokeAsync(entry, called, argument, call);
            }
        }
        catch (Exception exception)
        {
            reply = ValueTask.FromException<TReply>(exception);
        }

        return new ObjectCall<TReply>(this, entry, called, reply);
    }

    /// <summary>Whether a call of the object's grain may be the one that builds it: then it says what the object is made of.</summary>
    public bool MayBuild(ObjectEntry entry) => !_called.TryGetValue(entry.Id, out var called) || !called.HasAnswered;

    /// <summary>Whether the object's grain was ever called. If not, the object is in its first state.</summary>
    public bool WasCalled(ObjectEntry entry) => _called.ContainsKey(entry.Id);

    /// <summary>Saves the state that the grain of an object has, which was called before; null where it fails or has lost it.</summary>
    public async ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectEntry entry)
    {
        var called = _called[entry.Id];
        try
        {
            var snapshot = await Find(called).SnapshotAsync(Stamp(entry, called));
            HasLost |= snapshot is null;
            return snapshot;
        }
        catch (Exception exception)
        {
            HasLost = true;
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, key.Tag);
            return null;
        }
    }

    /// <summary>Gives the grain of an object, which was not called yet, a saved state. Where it fails, the state is lost.</summary>
    /// <exception cref="InvalidDataException">It is no state of such an object.</exception>
    public async ValueTask RestoreAsync(ObjectEntry entry, ObjectSnapshot snapshot)
    {
        SnapshotFormat.Require(GrainKind.Of(entry).AggregateOf(entry) == entry, "There is a state of an object that has no grain of its own.");
        var called = AddCalled(entry);
        called.HasAnswered = true;
        try
        {
            var reply = await Find(called).RestoreAsync(Stamp(entry, called), snapshot);
            HasLost |= reply.Errno != Errno.None;
            NoteSize(called, reply.Size);
            NotePins(called, reply.Pinned);
            FindNear(called);
        }
        catch (Exception exception) when (exception is not InvalidDataException)
        {
            HasLost = true;
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, key.Tag);
        }
    }

    /// <summary>
    /// Asks the grain that answers for an object to end it, which it does where its users count is 1. Completes at once where no grain
    /// knows the object: every holder but the table's edges makes itself known to the grain, so nothing holds it.
    /// </summary>
    /// <returns>Success; EIO where the grain counts users that the table does not know, which is a bug. The object stays then.</returns>
    public ValueTask<OperationResult> DestroyAsync(ObjectEntry entry)
        => GrainKind.Of(entry).AggregateOf(entry) is { } aggregate && _called.TryGetValue(aggregate.Id, out var called)
            ? DestroyAsync(entry, aggregate, called)
            : ValueTask.FromResult(default(OperationResult));

    /// <summary>Ends the grain of an object that its driver has ended. Completes at once where it was never called, or the object is a part of another.</summary>
    public ValueTask EndAsync(ObjectEntry entry) => Forget(entry.Id) is { } called ? EndAsync(called) : ValueTask.CompletedTask;

    /// <summary>Ends every grain, of a context that is gone. Their order no longer matters: no grain calls another.</summary>
    public async Task EndAllAsync()
    {
        await GrainParallel.ForEachAsync(_called.Values, ReleaseConcurrency, EndAsync);
        Pins.Clear();
        _called.Clear();
        Areas = 0;
    }

    /// <summary>Tells the grain that answers for an object of a hold that leaves no other trace there. Nothing to do where none does.</summary>
    public ValueTask<OperationResult> HoldAsync(ObjectEntry entry)
        => AggregateCallAsync(entry, static (grain, stamp, part) => grain.HoldAsync(stamp, part));

    /// <summary>Tells the grain that such a hold is dropped. A grain that has lost the hold with its state has nothing to drop.</summary>
    public ValueTask<OperationResult> DropAsync(ObjectEntry entry)
        => AggregateCallAsync(entry, static (grain, stamp, part) => grain.DropAsync(stamp, part));

    /// <summary>The users count that the object's grain derives; null where none knows the object.</summary>
    public async ValueTask<long?> UsersAsync(ObjectEntry entry)
        => GrainKind.Of(entry).AggregateOf(entry) is { } aggregate && _called.TryGetValue(aggregate.Id, out var called)
            ? await (await FindMovedAsync(called)).UsersAsync(Stamp(aggregate, called), PartOf(entry, aggregate))
            : null;

    /// <summary>Asks an object's grain something outside turns; null where it was never called: asking must not activate it.</summary>
    public async ValueTask<TReply?> AskAsync<TGrain, TReply>(ObjectEntry entry, Func<TGrain, ObjectStamp, ValueTask<TReply>> call)
        where TGrain : class, IObjectGrain
        where TReply : class
        => _called.TryGetValue(entry.Id, out var called) ? await call((TGrain)await FindMovedAsync(called), Stamp(entry, called)) : null;

    /// <summary>The state of an object, and its users by its grain. The grain is asked only if it was called before: looking at an object must not activate it.</summary>
    public async ValueTask<(ObjectState? State, long? Users)> InspectAsync(ObjectEntry entry, StatePage page)
    {
        var kind = GrainKind.Of(entry);
        if (kind.AggregateOf(entry) is not { } aggregate || !_called.TryGetValue(aggregate.Id, out var called))
        {
            return (kind.Describe(entry), null);
        }

        try
        {
            if (await (await FindMovedAsync(called)).InspectAsync(Stamp(aggregate, called), page with { Part = PartOf(entry, aggregate) }) is not { } reading)
            {
                return default;
            }

            return (reading.State is { } state ? kind.Complete(entry, state) : kind.Describe(entry), reading.Users);
        }
        catch (Exception exception)
        {
            // One grain that fails should not hide all others.
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, key.Tag);
            return default;
        }
    }

    /// <summary>Takes the answer of a call that is over.</summary>
    internal TReply Complete<TReply>(ObjectEntry entry, CalledGrain called, ValueTaskAwaiter<TReply> call)
        where TReply : struct, IObjectReply<TReply>
    {
        try
        {
            var reply = call.GetResult();
            HasLost |= reply.Errno == Errno.EIO;
            if (!called.HasAnswered && reply.Errno != Errno.EIO)
            {
                called.HasAnswered = true;
                FindNear(called);
            }

            if (reply.Errno != Errno.EIO && reply.Size is { } size)
            {
                NoteSize(called, size);
            }

            NotePins(called, reply.Pinned);
            return reply;
        }
        catch (Exception exception)
        {
            HasLost = true;
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, key.Tag);
            return TReply.Failed(Errno.EIO, Failure.Unreachable(entry));
        }
    }

    // The grain of an object that was never called. From now on it counts as called.
    private CalledGrain AddCalled(ObjectEntry entry)
    {
        var called = new CalledGrain(entry) { Kept = reach.Near is { IsOn: true } ? GrainKind.Of(entry).NewKept(entry.Id) : null };
        _called.Add(entry.Id, called);
        return called;
    }

    private async ValueTask<OperationResult> DestroyAsync(ObjectEntry entry, ObjectEntry aggregate, CalledGrain called)
    {
        var part = PartOf(entry, aggregate);
        try
        {
            var reply = await InvokeAsync<IObjectGrain, ObjectId, ObjectReply>(
                aggregate, called, part, static (grain, stamp, part) => grain.DestroyAsync(stamp, part, DestroyMode.IfUnused));
            if (reply.Errno == Errno.EBUSY)
            {
                HasLost = true;
                logger.UsersDisagree(entry.Type, entry.Id, key.Tag, entry.Users, (long)reply.Value);
                return new OperationResult(Errno.EIO, default, Failure.Because(DiagnosticReason.UsersDisagree, reply.Value, (ulong)entry.Users, entry.Ref));
            }

            // Of a part whose state is lost with its aggregate's, nothing is left to end.
            HasLost |= reply.Errno != Errno.None;
            if (part != default)
            {
                NoteSize(called, reply.Errno == Errno.None ? reply.Size : called.Size);
                NotePins(called, reply.Pinned);
            }
        }
        catch (Exception exception)
        {
            HasLost = true;
            logger.ObjectGrainNotEnded(exception, entry.Type, entry.Id, key.Tag);
        }

        if (part == default)
        {
            Forget(entry.Id);
        }

        return default;
    }

    private async ValueTask<OperationResult> AggregateCallAsync(ObjectEntry entry, Func<IObjectGrain, ObjectStamp, ObjectId, ValueTask<ObjectReply>> call)
        => GrainKind.Of(entry).AggregateOf(entry) is { } aggregate
            ? OperationResult.Of(await CallAsync(aggregate, PartOf(entry, aggregate), call), aggregate)
            : default;

    private static ObjectId PartOf(ObjectEntry entry, ObjectEntry aggregate) => entry == aggregate ? default : entry.Id;

    private void NoteSize(CalledGrain called, int size)
    {
        Areas += size - called.Size;
        called.Size = size;
    }

    private void NotePins(CalledGrain called, PinTally? tally)
    {
        if (tally is not null)
        {
            Pins.Take(called.OwnPins, tally);
            called.OwnPins = tally.Own;
        }
    }

    private CalledGrain? Forget(ObjectId id)
    {
        if (_called.Remove(id, out var called))
        {
            Areas -= called.Size;
            Pins.Forget(called.OwnPins);
        }

        return called;
    }
}
