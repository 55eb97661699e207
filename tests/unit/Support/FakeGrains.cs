using System.Reflection;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.FaultQueues;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Objects.NestedHwpts;
using IommuFd.Grains.Objects.Veventqs;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.Support;

// Stands in for Orleans where a handler calls an object's grain: a factory that creates real grains without a silo, and keeps them by key,
// as a silo would.

/// <summary>Implements <see cref="IGrainFactory"/>'s <c>GetGrain</c> by key, and remembers which grains were requested.</summary>
internal sealed class FakeGrains
{
    private readonly Dictionary<string, FakeIoas> _grains = [];

    private readonly Dictionary<(Type Type, string Key), IObjectGrain> _others = [];

    public FakeGrains() => Factory = FakeGrainFactory.For((type, key) => type != typeof(IIoasGrain)
        ? _others.TryGetValue((type, (string)key), out var other) ? other : _others[(type, (string)key)] = Make(type)
        : _grains.TryGetValue((string)key, out var grain) ? grain : _grains[(string)key] = new FakeIoas());

    public IGrainFactory Factory { get; }

    /// <summary>Keys of the requested grains.</summary>
    public IReadOnlyCollection<string> Keys => _grains.Keys;

    public FakeIoas this[string key] => _grains[key];

    private static IObjectGrain Make(Type type)
    {
        var host = FakeGrainContext.NewHost();
        return type == typeof(IDeviceGrain) ? new DeviceGrain(host)
            : type == typeof(INestedHwptGrain) ? new NestedHwptGrain(host)
            : type == typeof(IFaultQueueGrain) ? new FaultQueueGrain(host)
            : type == typeof(IViommuGrain) ? new ViommuGrain(host)
            : type == typeof(IVeventqGrain) ? new VeventqGrain(host)
            : throw new NotSupportedException($"{type} is no grain that a context calls.");
    }
}

/// <summary>
/// A real <see cref="IoasGrain"/> whose activation can be lost, and which can be made to fail like a grain that does not answer.
/// </summary>
internal sealed class FakeIoas : IIoasGrain, IGrainBase
{
    public IGrainContext GrainContext { get; } = FakeGrainContext.Create();

    private IoasGrain _activation = new(FakeGrainContext.NewHost());

    /// <summary>The stamps of all calls, with the calls' names.</summary>
    public List<(string Call, ObjectStamp Stamp)> Calls { get; } = [];

    /// <summary>The exception that each call throws before it runs; null lets calls run.</summary>
    public Exception? Failure { get; set; }

    /// <summary>The errnos that the next calls return; null calls the activation.</summary>
    public ObjectReply? Answer { get; set; }

    /// <summary>A task that each inspection waits for.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>Loses the state, as the end of a silo does.</summary>
    public void Lose() => _activation = new IoasGrain(FakeGrainContext.NewHost());

    public ValueTask<ObjectReply> HugePagesAsync(ObjectStamp stamp, IommuOptionOp op, ulong value)
    {
        Note("HugePages", stamp);
        return Answer is { } answer ? ValueTask.FromResult(answer) : _activation.HugePagesAsync(stamp, op, value);
    }

    public ValueTask<PinReply> MapAsync(ObjectStamp stamp, IoasMapRequest request, PinFacts facts = default)
        => Noted("Map", stamp).MapAsync(stamp, request, facts);

    public ValueTask<PinReply> MapFileAsync(ObjectStamp stamp, IoasMapRequest request, UserFile? file, PinFacts facts = default)
        => Noted("MapFile", stamp).MapFileAsync(stamp, request, file, facts);

    public ValueTask<ObjectReply> RevokeAsync(ObjectStamp stamp, string identity)
        => Noted("Revoke", stamp).RevokeAsync(stamp, identity);

    public ValueTask<PinReply> UnmapAsync(ObjectStamp stamp, ulong iova, ulong length)
        => Noted("Unmap", stamp).UnmapAsync(stamp, iova, length);

    public ValueTask<ObjectReply> UnmapCompatAsync(ObjectStamp stamp, ulong iova, ulong length, bool all)
        => Noted("UnmapCompat", stamp).UnmapCompatAsync(stamp, iova, length, all);

    public ValueTask<PagesReply> GetPagesAsync(ObjectStamp stamp, ulong iova, ulong length)
        => Noted("GetPages", stamp).GetPagesAsync(stamp, iova, length);

    public ValueTask<PinReply> MapPagesAsync(ObjectStamp stamp, IommuIoasMapFlags flags, PagesSlice[] slices, ulong iova, PinFacts facts)
        => Noted("MapPages", stamp).MapPagesAsync(stamp, flags, slices, iova, facts);

    public ValueTask<IovaRangesReply> IovaRangesAsync(ObjectStamp stamp, uint room, ulong writableBytes)
        => Noted("IovaRanges", stamp).IovaRangesAsync(stamp, room, writableBytes);

    public ValueTask<ObjectReply> AllowIovasAsync(ObjectStamp stamp, uint count, byte[] content)
        => Noted("AllowIovas", stamp).AllowIovasAsync(stamp, count, content);

    public ValueTask<ObjectReply> AddReservedAsync(ObjectStamp stamp, IovaRange range)
        => Noted("AddReserved", stamp).AddReservedAsync(stamp, range);

    public ValueTask<ObjectReply> CheckChangeProcessAsync(ObjectStamp stamp)
        => Noted("CheckChangeProcess", stamp).CheckChangeProcessAsync(stamp);

    public ValueTask<ObjectReply> ChangeProcessAsync(ObjectStamp stamp, MemorySource? source)
        => Noted("ChangeProcess", stamp).ChangeProcessAsync(stamp, source);

    public ValueTask<PinReply> ChangeAsync(ObjectStamp stamp, IoasChange[] changes, PinFacts facts) => Noted("Change", stamp).ChangeAsync(stamp, changes, facts);

    public ValueTask<PagesReply> PinPagesAsync(ObjectStamp stamp, IoasAccessRequest request, uint pin, ExpectedMemory? expected, PinFacts facts)
        => Noted("PinPages", stamp).PinPagesAsync(stamp, request, pin, expected, facts);

    public ValueTask<ObjectReply> PinnedBytesAsync(ObjectStamp stamp, PagesId pages, ulong startByte) => Noted("PinnedBytes", stamp).PinnedBytesAsync(stamp, pages, startByte);

    public ValueTask<ObjectReply> UnpinPagesAsync(ObjectStamp stamp, ObjectId access, uint pin) => Noted("UnpinPages", stamp).UnpinPagesAsync(stamp, access, pin);

    public ValueTask<TranslationReply> TranslateAsync(ObjectStamp stamp, DmaAccess access) => Noted("Translate", stamp).TranslateAsync(stamp, access);

    public ValueTask<PagesReply> AccessRwAsync(ObjectStamp stamp, IoasAccessRequest request, PinFacts facts) => Noted("AccessRw", stamp).AccessRwAsync(stamp, request, facts);

    public ValueTask<ObjectReply> SetDirtyTrackingAsync(ObjectStamp stamp, ObjectId hwpt, bool enable)
        => Noted("SetDirtyTracking", stamp).SetDirtyTrackingAsync(stamp, hwpt, enable);

    public ValueTask<DirtyBitmapReply> ReadDirtyAsync(ObjectStamp stamp, DirtyRange range, bool clear) => Noted("ReadDirty", stamp).ReadDirtyAsync(stamp, range, clear);

    public ValueTask<ObjectReply> MarkDirtyAsync(ObjectStamp stamp, DirtyRange range, byte[] bitmap) => Noted("MarkDirty", stamp).MarkDirtyAsync(stamp, range, bitmap);

    public ValueTask<ObjectReply> CheckMapAsync(ObjectStamp stamp, ObjectId hwpt, ulong iova, ulong length, ExpectedMemory expected)
        => Noted("CheckMap", stamp).CheckMapAsync(stamp, hwpt, iova, length, expected);

    public ValueTask<PinnedReply> FindPinnedAsync(ObjectStamp stamp, IovaRange addresses, ExpectedMemory memory) => Noted("FindPinned", stamp).FindPinnedAsync(stamp, addresses, memory);

    public ValueTask<ObjectReply> DestroyAsync(ObjectStamp stamp, ObjectId part, DestroyMode mode) => Noted("Destroy", stamp).DestroyAsync(stamp, part, mode);

    // Looking is no call that counts.
    public ValueTask<long?> UsersAsync(ObjectStamp stamp, ObjectId part) => _activation.UsersAsync(stamp, part);

    public ValueTask<ObjectReply> HoldAsync(ObjectStamp stamp, ObjectId part) => Noted("Hold", stamp).HoldAsync(stamp, part);

    public ValueTask<ObjectReply> DropAsync(ObjectStamp stamp, ObjectId part) => Noted("Drop", stamp).DropAsync(stamp, part);

    public async ValueTask<ObjectReading?> InspectAsync(ObjectStamp stamp, StatePage page)
    {
        Note("Inspect", stamp);
        await Gate;
        return await _activation.InspectAsync(stamp, page);
    }

    public ValueTask<ObjectSnapshot?> SnapshotAsync(ObjectStamp stamp) => Noted("Snapshot", stamp).SnapshotAsync(stamp);

    public ValueTask<ObjectReply> RestoreAsync(ObjectStamp stamp, ObjectSnapshot snapshot) => Noted("Restore", stamp).RestoreAsync(stamp, snapshot);

    private IoasGrain Noted(string call, ObjectStamp stamp)
    {
        Note(call, stamp);
        return _activation;
    }

    private void Note(string call, ObjectStamp stamp)
    {
        Calls.Add((call, stamp));
        if (Failure is not null)
        {
            throw Failure;
        }
    }
}

/// <summary>An <see cref="IGrainFactory"/> that supports <c>GetGrain</c> by interface and key, and nothing else.</summary>
public class FakeGrainFactory : DispatchProxy
{
    private Func<Type, object, object> _grains = null!;

    public static IGrainFactory For(Func<Type, object, object> grains)
    {
        var factory = Create<IGrainFactory, FakeGrainFactory>();
        ((FakeGrainFactory)(object)factory)._grains = grains;
        return factory;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
        => targetMethod is { Name: "GetGrain", IsGenericMethod: true } && args is [{ } key, ..]
            ? _grains(targetMethod.GetGenericArguments()[0], key)
            : throw new NotSupportedException($"{targetMethod} is not what grains are found by here.");
}

/// <summary>Provides one grain context.</summary>
internal sealed class FakeGrainContextAccessor(IGrainContext grainContext) : IGrainContextAccessor
{
    public IGrainContext GrainContext { get; } = grainContext;
}

/// <summary>
/// The <see cref="IGrainContext"/> of an activation without a silo: it records that the activation was asked to deactivate.
/// </summary>
public class FakeGrainContext : DispatchProxy
{
    public bool HasLeft { get; private set; }

    public static IGrainContext Create() => Create<IGrainContext, FakeGrainContext>();

    /// <summary>What an activation gets: by default one that its context calls by messages.</summary>
    internal static ObjectHost NewHost(IGrainContext? activation = null, NearObjects? near = null)
        => new(new FakeGrainContextAccessor(activation ?? Create()), TestProofs.None, near ?? TestProofs.NoneNear);

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        if (targetMethod?.Name == $"get_{nameof(IGrainContext.GrainId)}")
        {
            return GrainId.Create("object", "1");
        }

        if (targetMethod?.Name != nameof(IGrainContext.Deactivate))
        {
            throw new NotSupportedException($"{targetMethod} is not what an object's grain calls.");
        }

        HasLeft = true;
        return null;
    }
}
