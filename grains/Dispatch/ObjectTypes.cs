using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Selftest;

namespace IommuFd.Grains.Dispatch;

/// <summary>What the context needs to know of a kind of object.</summary>
/// <param name="Describe">What the context knows of an object: all of it where it has no grain, else what it has before its grain is first called.</param>
internal sealed record ObjectTypeRow(Func<ObjectEntry, ObjectState> Describe)
{
    /// <summary>Makes an entry of a context's table again.</summary>
    public required RestoreEntry Restore { get; init; }

    /// <summary>Finds the grain of an object by its key; null where objects of the kind have none, since their state is part of another's.</summary>
    public Func<IGrainFactory, string, IObjectGrain>? Grain { get; init; }

    /// <summary>The object whose grain has the state that the context has not; null for the object itself.</summary>
    public Func<ObjectEntry, ObjectEntry?> StateOwner { get; init; } = entry => entry;

    /// <summary>Adds what the context knows to what the state's owner told.</summary>
    public Func<ObjectEntry, ObjectState, ObjectState> Complete { get; init; } = (_, state) => state;

    /// <summary>
    /// What else must happen before an object that nobody holds goes (the kernel's <c>destroy</c>). On failure it stays. Null where nothing must.
    /// </summary>
    public Func<IoctlScope, ObjectEntry, ValueTask<OperationResult>>? Destroy { get; init; }

    /// <summary>Ends an object that a driver has made, because the driver is gone; null for kinds that drivers don't make.</summary>
    public Func<IoctlScope, ObjectEntry, ValueTask>? Abandon { get; init; }
}

/// <summary>The kinds of object: one row each (the kernel's <c>iommufd_object_ops</c>).</summary>
internal static class ObjectTypes
{
    private static readonly ObjectTypeRow IoasRow = new(static _ => IoasInspector.Show(new IoasModel(), default))
    {
        Restore = static (_, id, serial, _) => new IoasEntry(id, serial),
        Grain = static (factory, key) => factory.GetGrain<IIoasGrain>(key),
    };

    private static readonly ObjectTypeRow DeviceRow = new(static entry => DeviceHandlers.Describe((DeviceEntry)entry))
    {
        Restore = DeviceEntry.Restore,
        Grain = static (factory, key) => factory.GetGrain<IDeviceGrain>(key),
        StateOwner = static _ => null,
        Abandon = static (scope, entry) => DeviceHandlers.UnbindAsync(scope, (DeviceEntry)entry),
    };

    private static readonly ObjectTypeRow HwptRow = new(static entry => ((HwptEntry)entry).Describe())
    {
        Restore = HwptEntry.Restore,
        StateOwner = static entry => ((HwptEntry)entry).Ioas,
        Complete = static (entry, state) => HwptHandlers.Complete((HwptEntry)entry, (HwptState)state),
        Destroy = static (scope, entry) => HwptHandlers.FreeDomainAsync(scope, (HwptEntry)entry),
    };

    private static readonly ObjectTypeRow AccessRow = new(static entry => ((AccessEntry)entry).Describe())
    {
        Restore = AccessEntry.Restore,
        StateOwner = static entry => ((AccessEntry)entry).Ioas,
        Complete = static (entry, state) => AccessHandlers.Complete((AccessEntry)entry, (AccessState)state),
        Abandon = static (scope, entry) => AccessHandlers.DestroyAsync(scope, (AccessEntry)entry),
    };

    private static readonly ObjectTypeRow SelftestRow = new(static entry => new SelftestState(((SelftestEntry)entry).Device?.Id ?? default))
    {
        Restore = static (_, id, serial, _) => new SelftestEntry(id, serial),
        StateOwner = static _ => null,
        Destroy = static (scope, entry) => SelftestHandlers.UnbindAsync(scope, (SelftestEntry)entry),
    };

    public static ObjectTypeRow Get(ObjectType type) => Find(type) ?? throw new ArgumentOutOfRangeException(nameof(type), type, "No such kind of object.");

    /// <summary>The row of a kind; null where there is no such kind.</summary>
    public static ObjectTypeRow? Find(ObjectType type) => type switch
    {
        ObjectType.Ioas => IoasRow,
        ObjectType.Device => DeviceRow,
        ObjectType.HwptPaging => HwptRow,
        ObjectType.Access => AccessRow,
        ObjectType.Selftest => SelftestRow,
        _ => null,
    };
}
