#pragma warning disable CS9113, CA1822, CA1812 // Samples are there to break rules, not to run.
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;





namespace IommuFd.UnitTests.Architecture.Samples;

// Each breaks one rule, so that the rules are seen to find something.

internal abstract class SampleGrain : IGrainBase, IObjectGrain
{
    public IGrainContext GrainContext => null!;

    public ValueTask<ObjectReply> DestroyAsync(ObjectStamp stamp, ObjectId part, DestroyMode mode) => ValueTask.FromResult<ObjectReply>(default);

    public ValueTask<long?> UsersAsync(ObjectStamp stamp, ObjectId part) => ValueTask.FromResult<long?>(null);

    public ValueTask<ObjectReply> HoldAsync(ObjectStamp stamp, ObjectId part) => ValueTask.FromResult<ObjectReply>(default);

    public ValueTask<ObjectReply> DropAsync(ObjectStamp stamp, ObjectId part) => ValueTask.FromResult<ObjectReply>(default);

    public ValueTask<ObjectReading?> InspectAsync(ObjectStamp stamp, StatePage page) => ValueTask.FromResult<ObjectReading?>(null);

    public ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectStamp stamp) => ValueTask.FromResult<ObjectSnapshot?>(null);

    public ValueTask<ObjectReply> RestoreAsync(ObjectStamp stamp, ObjectSnapshot snapshot) => ValueTask.FromResult<ObjectReply>(default);
}

internal abstract class GrainWithFactory(IGrainFactory factory) : SampleGrain
{
    public object Factory => factory;
}

internal abstract class GrainThatKnowsItsContext : SampleGrain
{
    public object Find(Func<Type, object> find) => find(typeof(IContextGrain));
}

internal abstract class GrainThatCallsASibling : SampleGrain
{
    public async Task CallAsync(Func<object> find)
    {
        await Task.Yield();
        await ((IIoasGrain)find()).HugePagesAsync(default, IommuOptionOp.Get, 0);
    }
}

internal abstract class GrainWithServices : SampleGrain
{
    public object? Service() => GrainContext.ActivationServices;
}

internal abstract class GrainOfOrleans : Grain, IObjectGrain
{
    public ValueTask<ObjectReply> DestroyAsync(ObjectStamp stamp, ObjectId part, DestroyMode mode) => ValueTask.FromResult<ObjectReply>(default);

    public ValueTask<long?> UsersAsync(ObjectStamp stamp, ObjectId part) => ValueTask.FromResult<long?>(null);

    public ValueTask<ObjectReply> HoldAsync(ObjectStamp stamp, ObjectId part) => ValueTask.FromResult<ObjectReply>(default);

    public ValueTask<ObjectReply> DropAsync(ObjectStamp stamp, ObjectId part) => ValueTask.FromResult<ObjectReply>(default);

    public ValueTask<ObjectReading?> InspectAsync(ObjectStamp stamp, StatePage page) => ValueTask.FromResult<ObjectReading?>(null);

    public ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectStamp stamp) => ValueTask.FromResult<ObjectSnapshot?>(null);

    public ValueTask<ObjectReply> RestoreAsync(ObjectStamp stamp, ObjectSnapshot snapshot) => ValueTask.FromResult<ObjectReply>(default);
}

internal sealed class ModelThatIsPure
{
    private readonly Dictionary<ObjectId, Holder[]> _holders = [];

    public Errno Add(ObjectId id, Holder holder) => _holders.TryAdd(id, [.. new[] { holder }.Where(other => other.Id != id)]) ? Errno.None : Errno.EEXIST;

    public IEnumerable<ObjectId> Ids()
    {
        foreach (var id in _holders.Keys)
        {
            yield return id;
        }
    }
}

internal sealed class ModelWithATask
{
    public Task<int> GetAsync() => Task.FromResult(1);
}

internal sealed class ModelWithALock
{
    private readonly object _lock = new();

    public void Run()
    {
        lock (_lock)
        {
        }
    }
}

internal sealed class ModelWithAClock
{
    public long Now() => ((Func<long>)(() => DateTime.UtcNow.Ticks))();
}

internal sealed class ModelWithOrleans
{
    public string Key(object grain) => ((IAddressable)grain).ToString()!;
}

internal sealed class ModelThatKnowsAGrain
{
    public bool IsGrain(object other) => other is IIoasGrain;
}

internal sealed class HostThatKnowsAModel
{
    public object Table() => new Grains.Model.ObjectTable();
}

internal sealed class HostThatKnowsAGrain
{
    public bool Knows(object grain) => grain is Grains.Objects.Devices.DeviceGrain;
}

internal sealed class HostOfJournals
{
    public Grains.Journaling.JournalWrite Confirm(ContextKey handle) => new Grains.Journaling.ConfirmEpoch(handle, 1);
}
