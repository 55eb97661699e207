using System.Diagnostics;
using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Telemetry;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;

namespace IommuFd.Grains.Calls;

// The way from a table's entries to their grains. An object's grain is activated by the first call that it gets, not by the
// ioctl that allocates the object: a fresh object is in the state that its model starts in, and costs no activation until
// somebody uses it. Only grains that were called are told of the end.

/// <summary>The grains of a context's objects.</summary>
internal sealed class ObjectGrains(IGrainFactory grainFactory, ContextHandle handle, long epoch, ILogger logger)
{
    // Grains that are ended at once when a context is released: enough to keep the silo busy, few enough to leave others their turn.
    private const int ReleaseConcurrency = 128;

    private readonly Dictionary<ObjectId, CalledGrain> _called = [];
    private readonly string _keyPrefix = $"{handle}/";

    /// <summary>The context's handle.</summary>
    public ContextHandle Handle => handle;

    /// <summary>The epoch that the grains are told.</summary>
    public long Epoch => epoch;

    /// <summary>Whether an object's grain has failed, or has lost its state.</summary>
    public bool HasLost { get; private set; }

    /// <summary>Calls the grain of an object. Where it fails or has lost its state, the reply is EIO, which no command of the kernel answers.</summary>
    /// <param name="entry">The object.</param>
    /// <param name="argument">What the call needs.</param>
    /// <param name="call">Calls one method of the grain.</param>
    /// <param name="callText">The text of that, which names the method where it is traced.</param>
    public ObjectCall<TReply> CallAsync<TGrain, TArgument, TReply>(
        ObjectEntry entry,
        TArgument argument,
        Func<TGrain, ObjectStamp, TArgument, ValueTask<TReply>> call,
        [CallerArgumentExpression(nameof(call))] string callText = "")
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
            reply = CallHeaders.IsTraced
                ? CallTracedAsync(entry, called, argument, call, callText)
                : call((TGrain)called.Grain, Stamp(entry, called), argument);
        }
        catch (Exception exception)
        {
            reply = ValueTask.FromException<TReply>(exception);
        }

        return new ObjectCall<TReply>(this, entry, called, reply);
    }

    /// <summary>Whether the object's grain was ever called. If not, the object is in its first state.</summary>
    public bool WasCalled(ObjectEntry entry) => _called.ContainsKey(entry.Id);

    /// <summary>Writes the state down that the grain of an object has, which was called before; null where it fails or has lost it.</summary>
    public async ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectEntry entry)
    {
        var called = _called[entry.Id];
        try
        {
            var snapshot = await called.Grain.SnapshotAsync(Stamp(entry, called));
            HasLost |= snapshot is null;
            return snapshot;
        }
        catch (Exception exception)
        {
            HasLost = true;
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, handle.ToShortString());
            return null;
        }
    }

    /// <summary>Gives the grain of an object, which was not called yet, a state that was written down. Where it fails, the state is lost.</summary>
    /// <returns>What <see cref="ObjectReply.Size"/> tells of it.</returns>
    /// <exception cref="InvalidDataException">It is no state of such an object.</exception>
    public async ValueTask<int> RestoreAsync(ObjectEntry entry, ObjectSnapshot snapshot)
    {
        SnapshotFormat.Require(ObjectTypes.Get(entry.Type).Grain is not null, "There is a state of an object that has no grain.");
        var called = AddCalled(entry);
        called.HasAnswered = true;
        try
        {
            var reply = await called.Grain.RestoreAsync(Stamp(entry, called), snapshot);
            HasLost |= reply.Errno != Errno.None;
            return reply.Size;
        }
        catch (Exception exception) when (exception is not InvalidDataException)
        {
            HasLost = true;
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, handle.ToShortString());
            return 0;
        }
    }

    /// <summary>Ends the grain of an object that is out of the table. Completes at once where it was never called.</summary>
    public ValueTask DestroyAsync(ObjectEntry entry)
        => _called.Remove(entry.Id, out var called) ? EndAsync(called) : ValueTask.CompletedTask;

    /// <summary>Ends every grain, of a context that is gone. Their order no longer matters: no grain calls another.</summary>
    public async Task DestroyAllAsync()
    {
        await GrainParallel.ForEachAsync(_called.Values, ReleaseConcurrency, EndAsync);
        _called.Clear();
    }

    /// <summary>The state of an object. The grain that has it is asked only if it was called before: looking at an object must not activate it.</summary>
    public async ValueTask<ObjectState?> InspectAsync(ObjectEntry entry, StatePage page)
    {
        var row = ObjectTypes.Get(entry.Type);
        if (row.StateOwner(entry) is not { } owner || !_called.TryGetValue(owner.Id, out var called))
        {
            return row.Describe(entry);
        }

        try
        {
            var state = await called.Grain.InspectAsync(Stamp(owner, called), owner == entry ? page : page with { Part = entry.Id });
            return state is null ? null : row.Complete(entry, state);
        }
        catch (Exception exception)
        {
            // One grain that fails should not hide all others.
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, handle.ToShortString());
            return null;
        }
    }

    /// <summary>Takes the answer of a call that is over.</summary>
    internal TReply Complete<TReply>(ObjectEntry entry, CalledGrain called, ValueTaskAwaiter<TReply> call)
        where TReply : struct, IObjectReply<TReply>
    {
        try
        {
            var reply = call.GetResult();
            called.HasAnswered |= reply.Errno != Errno.EIO;
            HasLost |= reply.Errno == Errno.EIO;
            return reply;
        }
        catch (Exception exception)
        {
            HasLost = true;
            logger.ObjectGrainFailed(exception, entry.Type, entry.Id, handle.ToShortString());
            return TReply.Failed(Errno.EIO, Failure.Unreachable(entry));
        }
    }

    // The grain of an object that was never called. From now on it counts as called.
    private CalledGrain AddCalled(ObjectEntry entry)
    {
        var called = new CalledGrain(entry, ObjectTypes.Get(entry.Type).Grain!(grainFactory, $"{_keyPrefix}{entry.Id}"));
        _called.Add(entry.Id, called);
        return called;
    }

    // The span of the call, which the object's turn is a child of. The call carries it; what the turn does next does not.
    private async ValueTask<TReply> CallTracedAsync<TGrain, TArgument, TReply>(
        ObjectEntry entry, CalledGrain called, TArgument argument, Func<TGrain, ObjectStamp, TArgument, ValueTask<TReply>> call, string callText)
        where TGrain : class, IObjectGrain
        where TReply : struct, IObjectReply<TReply>
    {
        var span = CallSpan.Start(ActivityKind.Client, TurnSpans.ObjectMethod(typeof(TGrain).Name[1..], TurnSpans.CalledMethod(callText)));
        span?.SetTag(SpanTags.ObjectId, entry.Id.Value).SetTag(SpanTags.ObjectType, entry.Type.Label());
        try
        {
            ValueTask<TReply> reply;
            using (CallHeaders.Put(isTimed: false))
            {
                reply = call((TGrain)called.Grain, Stamp(entry, called), argument);
            }

            var answer = await reply;
            span?.End(answer.Errno);
            return answer;
        }
        catch (Exception exception)
        {
            span?.End(exception);
            throw;
        }
    }

    private ObjectStamp Stamp(ObjectEntry entry, CalledGrain called) => new(epoch, entry.Serial, MayBuild: !called.HasAnswered);

    // A grain that does not end stays behind without anybody who could call it: a later life of the same key has a greater stamp.
    private async ValueTask EndAsync(CalledGrain called)
    {
        var entry = called.Entry;
        try
        {
            await called.Grain.DestroyAsync(Stamp(entry, called));
        }
        catch (Exception exception)
        {
            logger.ObjectGrainNotEnded(exception, entry.Type, entry.Id, handle.ToShortString());
        }
    }

    /// <summary>A grain that was called.</summary>
    internal sealed class CalledGrain(ObjectEntry entry, IObjectGrain grain)
    {
        public ObjectEntry Entry { get; } = entry;

        public IObjectGrain Grain { get; } = grain;

        /// <summary>Whether it has shown that it has the object's state: if it doesn't from then on, the state is lost.</summary>
        public bool HasAnswered { get; set; }
    }
}
