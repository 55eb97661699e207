using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Viommus;

/// <summary>A vIOMMU: a guest's ids of devices, and its hardware queues. Its parts are vDevices and hardware queues.</summary>
[Alias("IommuFd.IViommuGrain")]
internal interface IViommuGrain : IObjectGrain
{
    /// <summary>Gives a device an id.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="vdevice">The vDevice.</param>
    /// <param name="device">The device.</param>
    /// <param name="virtId">The id.</param>
    /// <returns>EEXIST where another device has the id.</returns>
    [Alias("AddVdevice")]
    ValueTask<ObjectReply> AddVdeviceAsync(ObjectStamp stamp, ObjectId vdevice, ObjectId device, ulong virtId);

    /// <summary>Adds a hardware queue (<c>hw_queue_init_phys</c>).</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="queue">The queue.</param>
    /// <param name="type">Its kind.</param>
    /// <param name="index">Its index.</param>
    /// <returns>EINVAL where the hardware has no such queue, EEXIST where it has it already, EIO where the one before it is missing. Else the id of that one is the value.</returns>
    [Alias("AddHwQueue")]
    ValueTask<HwQueueReply> AddHwQueueAsync(ObjectStamp stamp, ObjectId queue, IommuHwQueueType type, uint index);

    /// <summary>Decodes the entries of an <c>IOMMU_HWPT_INVALIDATE</c>: devices' grains carry them out.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="entries">What is to be invalidated.</param>
    /// <returns>What the entries before the first bad one invalidate, and the errno of that.</returns>
    [Alias("Invalidate")]
    ValueTask<ViommuInvalidationReply> InvalidateAsync(ObjectStamp stamp, InvalidationEntries entries);
}

/// <summary>What a vIOMMU is built of.</summary>
/// <param name="Iommu">The IOMMU behind it.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ViommuBuild")]
internal sealed record ViommuBuild([property: Id(0)] string Iommu) : ObjectBuild;

/// <summary>What a vIOMMU answers to a new hardware queue. EIO is an answer of the hardware here, and does not mean that the grain has lost its state.</summary>
/// <param name="Errno">0 on success; EIO where the grain does not have this life.</param>
/// <param name="Refusal">The hardware's errno.</param>
/// <param name="Previous">The queue that the new one depends on; 0 for none.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.HwQueueReply")]
internal readonly record struct HwQueueReply(
    [property: Id(0)] Errno Errno, [property: Id(1)] Errno Refusal, [property: Id(2)] ObjectId Previous, [property: Id(3)] IoctlDiagnostic? Diagnostic) : IObjectReply<HwQueueReply>
{
    int? IObjectReply<HwQueueReply>.Size => null;

    PinTally? IObjectReply<HwQueueReply>.Pinned => null;

    /// <inheritdoc/>
    public static HwQueueReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, default, default, diagnostic);
}

/// <summary>What the entries of an invalidation come to.</summary>
/// <param name="Errno">0; EIO where the grain does not have this life.</param>
/// <param name="Refusal">The errno of the first bad entry; 0 where there is none.</param>
/// <param name="Done">The entries before it.</param>
/// <param name="Devices">The devices whose caches are invalidated by those, in ascending order.</param>
/// <param name="Entries">Which entries of each cache, one bit each.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ViommuInvalidationReply")]
internal readonly record struct ViommuInvalidationReply(
    [property: Id(0)] Errno Errno,
    [property: Id(1)] Errno Refusal,
    [property: Id(2)] uint Done,
    [property: Id(3)] ObjectId[] Devices,
    [property: Id(4)] uint[] Entries,
    [property: Id(5)] IoctlDiagnostic? Diagnostic) : IObjectReply<ViommuInvalidationReply>
{
    int? IObjectReply<ViommuInvalidationReply>.Size => null;

    PinTally? IObjectReply<ViommuInvalidationReply>.Pinned => null;

    /// <inheritdoc/>
    public static ViommuInvalidationReply Failed(Errno errno, IoctlDiagnostic? diagnostic) => new(errno, default, 0, [], [], diagnostic);
}
