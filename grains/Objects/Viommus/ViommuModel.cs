using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Viommus;

// What a vIOMMU knows of its parts: which vDevice has which of the guest's ids, and which hardware queue depends on which. The slots are the hardware's view:
// which indexes are taken is its affair, not only whether a queue lives there.

/// <summary>A vIOMMU.</summary>
/// <param name="iommu">The IOMMU behind it.</param>
internal sealed class ViommuModel(string iommu)
{
    private readonly SortedDictionary<ulong, (ObjectId Vdevice, ObjectId Device)> _vdevices = [];
    private readonly SortedDictionary<uint, (uint Index, ObjectId Previous)> _queues = [];
    private readonly SortedDictionary<uint, ObjectId> _slots = [];

    /// <summary>The hardware.</summary>
    public EmulatedViommu Hardware { get; } = IommuDriver.FindInstance(iommu)!.Viommu;

    public int VdeviceCount => _vdevices.Count;

    public int HwQueueCount => _queues.Count;

    /// <summary>Gives a device an id; false where another has it.</summary>
    public bool TryAddVdevice(ObjectId vdevice, ObjectId device, ulong virtId) => _vdevices.TryAdd(virtId, (vdevice, device));

    /// <summary>Adds a hardware queue.</summary>
    /// <param name="queue">The queue.</param>
    /// <param name="type">Its kind.</param>
    /// <param name="index">Its index.</param>
    /// <param name="previous">The queue before it; 0 for none.</param>
    public Errno AddHwQueue(ObjectId queue, IommuHwQueueType type, uint index, out ObjectId previous)
    {
        previous = default;
        if (index >= Hardware.HwQueues(type))
        {
            return Errno.EINVAL;
        }

        if (_slots.ContainsKey(index))
        {
            return Errno.EEXIST;
        }

        if (index > 0 && !_slots.TryGetValue(index - 1, out previous))
        {
            return Errno.EIO;
        }

        _slots.Add(index, queue);
        _queues.Add(queue.Value, (index, previous));
        return Errno.None;
    }

    /// <summary>
    /// The holders that follow from what there is: of the vIOMMU its vDevices and hardware queues, of a queue the one behind it. Null where
    /// there is no such part.
    /// </summary>
    public long? Holders(ObjectId part)
    {
        if (part == default)
        {
            return _vdevices.Count + _queues.Count;
        }

        if (_queues.ContainsKey(part.Value))
        {
            return _queues.Values.Count(queue => queue.Previous == part);
        }

        return FindVdevice(part) is null ? null : 0;
    }

    /// <summary>Ends a part.</summary>
    public void RemovePart(ObjectId part)
    {
        if (_queues.Remove(part.Value, out var queue))
        {
            _slots.Remove(Hardware.FreedHwQueue(queue.Index));
        }
        else if (FindVdevice(part) is { } virtId)
        {
            _vdevices.Remove(virtId);
        }
    }

    /// <summary>Decodes entries of an invalidation, in order, up to the first bad one.</summary>
    /// <param name="entries">The entries.</param>
    /// <param name="caches">Gets which entries of which device's cache are invalidated.</param>
    /// <param name="done">The entries before the first bad one.</param>
    public Errno Invalidate(in InvalidationEntries entries, SortedDictionary<uint, uint> caches, out uint done)
    {
        var invalidations = new List<CacheInvalidation>();
        var errno = Hardware.Invalidate(entries, _vdevices.ContainsKey, invalidations, out done);
        foreach (var (virtId, cache) in invalidations)
        {
            var device = _vdevices[virtId].Device.Value;
            caches[device] = caches.GetValueOrDefault(device) | cache;
        }

        return errno;
    }

    /// <summary>Saves the vIOMMU.</summary>
    public ViommuSnapshot Save()
    {
        var (virtIds, vdevices, devices) = (new ColumnWriter(), new ColumnWriter(), new ColumnWriter());
        foreach (var (virtId, (vdevice, device)) in _vdevices)
        {
            virtIds.Add(virtId);
            vdevices.Add(vdevice.Value);
            devices.Add(device.Value);
        }

        var (queues, indexes, previous) = (new ColumnWriter(), new ColumnWriter(), new ColumnWriter());
        foreach (var (queue, place) in _queues)
        {
            queues.Add(queue);
            indexes.Add(place.Index);
            previous.Add(place.Previous.Value);
        }

        var (slots, slotQueues) = (new ColumnWriter(), new ColumnWriter());
        foreach (var (slot, queue) in _slots)
        {
            slots.Add(slot);
            slotQueues.Add(queue.Value);
        }

        return VdeviceCount + HwQueueCount + _slots.Count == 0
            ? new ViommuSnapshot()
            : new ViommuSnapshot
            {
                Iommu = iommu,
                VirtIds = virtIds.ToColumn(),
                Vdevices = vdevices.ToColumn(),
                Devices = devices.ToColumn(),
                Queues = queues.ToColumn(),
                Indexes = indexes.ToColumn(),
                PreviousQueues = previous.ToColumn(),
                Slots = slots.ToColumn(),
                SlotQueues = slotQueues.ToColumn(),
            };
    }

    /// <summary>Restores a vIOMMU.</summary>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static ViommuModel Restore(ViommuSnapshot snapshot)
    {
        SnapshotFormat.Require(snapshot.Iommu is not null && IommuDriver.FindInstance(snapshot.Iommu) is not null, "A vIOMMU belongs to an unknown IOMMU.");
        var model = new ViommuModel(snapshot.Iommu!);
        var (virtIds, vdevices, devices) = (snapshot.VirtIds.Read(), snapshot.Vdevices.Read(), snapshot.Devices.Read());
        while (virtIds.TryNext(out var virtId))
        {
            SnapshotFormat.Require(
                model.TryAddVdevice(new ObjectId(vdevices.Next<uint>()), new ObjectId(devices.Next<uint>()), virtId), "Two vDevices of a vIOMMU have one id.");
        }

        var (queues, indexes, previous) = (snapshot.Queues.Read(), snapshot.Indexes.Read(), snapshot.PreviousQueues.Read());
        while (queues.TryNext<uint>(out var queue))
        {
            var place = (Index: indexes.Next<uint>(), Previous: new ObjectId(previous.Next<uint>()));
            SnapshotFormat.Require(model._queues.TryAdd(queue, place), "A hardware queue is listed twice.");
        }

        SnapshotFormat.Require(
            model._queues.Values.All(place => place.Previous == default || model._queues.ContainsKey(place.Previous.Value)), "A hardware queue depends on one that is not there.");
        var (slots, slotQueues) = (snapshot.Slots.Read(), snapshot.SlotQueues.Read());
        while (slots.TryNext<uint>(out var slot))
        {
            SnapshotFormat.Require(model._slots.TryAdd(slot, new ObjectId(slotQueues.Next<uint>())), "Two hardware queues of a vIOMMU have one slot.");
        }

        vdevices.End();
        devices.End();
        indexes.End();
        previous.End();
        slotQueues.End();
        return model;
    }

    private ulong? FindVdevice(ObjectId part)
    {
        foreach (var (virtId, (vdevice, _)) in _vdevices)
        {
            if (vdevice == part)
            {
                return virtId;
            }
        }

        return null;
    }
}

/// <summary>A saved vIOMMU.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.ViommuSnapshot")]
internal sealed record ViommuSnapshot : ObjectSnapshot
{
    /// <summary>The IOMMU behind it; null where it has no parts and all its slots are free.</summary>
    [Id(0)]
    public string? Iommu { get; init; }

    /// <summary>The guest's ids of devices, ascending: a column.</summary>
    [Id(1)]
    public DeltaColumn VirtIds { get; init; }

    /// <summary>Their vDevices: a column.</summary>
    [Id(2)]
    public DeltaColumn Vdevices { get; init; }

    /// <summary>Their devices: a column.</summary>
    [Id(3)]
    public DeltaColumn Devices { get; init; }

    /// <summary>The hardware queues, ascending: a column.</summary>
    [Id(4)]
    public DeltaColumn Queues { get; init; }

    /// <summary>Their indexes: a column.</summary>
    [Id(5)]
    public DeltaColumn Indexes { get; init; }

    /// <summary>The queues that they depend on; 0 for none: a column.</summary>
    [Id(6)]
    public DeltaColumn PreviousQueues { get; init; }

    /// <summary>The slots of the hardware that are taken, ascending: a column.</summary>
    [Id(7)]
    public DeltaColumn Slots { get; init; }

    /// <summary>The queues that took them: a column.</summary>
    [Id(8)]
    public DeltaColumn SlotQueues { get; init; }

    public override bool IsFirstState => Iommu is null;
}
