using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Calls;

// A small object whose calls never wait needs no activation either: the context keeps its grain, without one, and calls it within its own turn, where
// inspections find it too. Nothing else could call it, so nothing of it outlives the context's activation, and its end costs nothing. When it has
// grown, the next call activates the grain, on the same silo, and the activation takes over what the context has kept (NearObjects.Move). So
// what takes long (saving, restoring and showing many areas) runs beside the context.

/// <content>Which way a call of an object takes.</content>
internal sealed partial class ObjectGrains
{
    private ObjectStamp Stamp(ObjectEntry entry, CalledGrain called)
        => called.HasAnswered ? new(epoch, entry.Serial, MayBuild: false, Proof: reach.Proof) : new(epoch, entry.Serial, MayBuild: true, GrainKind.Of(entry).BuildOf(entry), reach.Proof);

    // Within this turn where the context keeps the object, or its activation is near and nothing runs in it; else by a message.
    private ValueTask<TReply> InvokeAsync<TGrain, TArgument, TReply>(
        ObjectEntry entry, CalledGrain called, TArgument argument, Func<TGrain, ObjectStamp, TArgument, ValueTask<TReply>> call)
        where TGrain : class, IObjectGrain
    {
        var stamp = Stamp(entry, called);
        if (called.EnterNear(epoch) is not { } near)
        {
            return call((TGrain)Find(called), stamp, argument);
        }

        try
        {
            return call((TGrain)near, stamp, argument);
        }
        finally
        {
            near.Leave();
        }
    }

    // The first call of a grain that the context has kept until now. Where no activation takes over what was kept (none could be made, or it was made
    // on another silo), none ever will: the call has then changed nothing, and the context goes on keeping it.
    private async ValueTask<TReply> ActivateAsync<TGrain, TArgument, TReply>(
        ObjectEntry entry, CalledGrain called, TArgument argument, Func<TGrain, ObjectStamp, TArgument, ValueTask<TReply>> call)
        where TGrain : class, IObjectGrain
        where TReply : struct, IObjectReply<TReply>
    {
        var (kept, stamp, near) = (called.Kept!, Stamp(entry, called), reach.Near!);
        var moved = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        (called.Kept, called.Moving) = (null, moved.Task);
        var grain = Find(called);
        near.Move(grain.GetGrainId(), stamp, kept);
        try
        {
            var reply = await call((TGrain)grain, stamp, argument);
            if (near.TakeMoved(grain.GetGrainId(), stamp) is null)
            {
                FindNear(called);
                return reply;
            }

            called.Kept = kept;
        }
        catch (Exception exception) when (near.TakeMoved(grain.GetGrainId(), stamp) is not null)
        {
            called.Kept = kept;
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, key.Tag);
        }
        finally
        {
            called.Moving = null;
            moved.SetResult();
        }

        return await call((TGrain)kept, stamp, argument);
    }

    // What answers for an object: its grain without an activation, which the context keeps, or the way to its activation.
    private IObjectGrain Find(CalledGrain called)
        => called.Kept ?? (called.Grain ??= GrainKind.Of(called.Entry).FindGrain(reach.Factory, $"{key}/{called.Entry.Id}")!);

    // The same for what is asked beside turns: an object that moves to its activation is with neither until it is there.
    private async ValueTask<IObjectGrain> FindMovedAsync(CalledGrain called)
    {
        if (called.Moving is { } moving)
        {
            await moving;
        }

        return Find(called);
    }

    private bool HasOutgrown(CalledGrain called) => called.Kept is not null && called.Size > reach.Near!.MostKept;

    private void FindNear(CalledGrain called) => called.Near = called.Kept is null ? reach.Near?.Take(Find(called).GetGrainId()) : null;

    // A grain that does not end stays behind without anybody who could call it: a later life of the same key has a greater stamp.
    private ValueTask EndAsync(CalledGrain called) => called.Kept is null ? EndActivationAsync(called) : ValueTask.CompletedTask;

    private async ValueTask EndActivationAsync(CalledGrain called)
    {
        var entry = called.Entry;
        try
        {
            await InvokeAsync<IObjectGrain, ObjectId, ObjectReply>(entry, called, default, static (grain, stamp, part) => grain.DestroyAsync(stamp, part, DestroyMode.Release));
        }
        catch (Exception exception)
        {
            logger.ObjectGrainNotEnded(exception, entry.Type, entry.Id, key.Tag);
        }
    }

    /// <summary>A grain that was called.</summary>
    internal sealed class CalledGrain(ObjectEntry entry)
    {
        public ObjectEntry Entry { get; } = entry;

        /// <summary>The grain without an activation, where the context keeps it.</summary>
        public IObjectGrain? Kept { get; set; }

        /// <summary>Completes when it has moved from the context to its activation, or back; null where it does not move.</summary>
        public Task? Moving { get; set; }

        /// <summary>The way to its activation, once that was needed.</summary>
        public IObjectGrain? Grain { get; set; }

        /// <summary>Whether it has shown that it has the object's state: if it doesn't from then on, the state is lost.</summary>
        public bool HasAnswered { get; set; }

        /// <summary>Its activation, where that is on this silo.</summary>
        public INearObject? Near { get; set; }

        /// <summary>Begins a turn in its activation; null where it must be called by a message. The caller ends the turn.</summary>
        public INearObject? EnterNear(long epoch)
        {
            if (Near?.TryEnter(epoch, Entry.Serial) == true)
            {
                return Near;
            }

            if (Near is { HasEnded: true })
            {
                Near = null;
            }

            return null;
        }

        /// <summary>The areas and ranges that it has told of.</summary>
        public int Size { get; set; }

        /// <summary>What it has told of pages of its own that it has pinned.</summary>
        public PinCount[] OwnPins { get; set; } = [];
    }
}
