using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Viommus;

// What a vIOMMU knows of its parts: which vDevice has which of the guest's ids, and which hardware queue has which index. Queues depend on the one before them,
// so that they come in ascending and go in descending order.

/// <summary>A vIOMMU.</summary>
/// <param name="iommu">The IOMMU behind it.</param>
internal sealed class ViommuModel(string iommu)
{
    private readonly SortedDictionary<ulong, (ObjectId Vdevice, ObjectId Device)> _vdevices = [];
    private readonly SortedDictionary<uint, ObjectId> _queues = [];

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

        if (_queues.ContainsKey(index))
        {
            return Errno.EEXIST;
        }

        if (index > 0 && !_queues.TryGetValue(index - 1, out previous))
        {
            return Errno.EIO;
        }

        _queues.Add(index, queue);
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

        if (FindQueue(part) is { } index)
        {
            return _queues.ContainsKey(index + 1) ? 1 : 0;
        }

        return FindVdevice(part) is null ? null : 0;
    }

    /// <summary>Ends a part.</summary>
    public void RemovePart(ObjectId part)
    {
        if (FindQueue(part) is { } index)
        {
            _queues.Remove(index);
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
        var (virtIds, vdevices, devices, indexes, queues) = (new ColumnWriter(), new ColumnWriter(), new ColumnWriter(), new ColumnWriter(), new ColumnWriter());
        foreach (var (virtId, (vdevice, device)) in _vdevices)
        {
            virtIds.Add(virtId);
            vdevices.Add(vdevice.Value);
            devices.Add(device.Value);
        }

        foreach (var (index, queue) in _queues)
        {
            indexes.Add(index);
            queues.Add(queue.Value);
        }

        return VdeviceCount + HwQueueCount == 0
            ? new ViommuSnapshot()
            : new ViommuSnapshot
            {
                Iommu = iommu,
                VirtIds = virtIds.ToColumn(),
                Vdevices = vdevices.ToColumn(),
                Devices = devices.ToColumn(),
                Indexes = indexes.ToColumn(),
                Queues = queues.ToColumn(),
            };
    }

    /// <summary>Restores a vIOMMU.</summary>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static ViommuModel Restore(ViommuSnapshot snapshot)
    {
        SnapshotFormat.Require(snapshot.Iommu is not null && IommuDriver.FindInstance(snapshot.Iommu) is not null, "A vIOMMU belongs to an unknown IOMMU.");
        var model = new ViommuModel(snapshot.Iommu!);
        var (virtIds, vdevices, devices, indexes, queues) =
            (snapshot.VirtIds.Read(), snapshot.Vdevices.Read(), snapshot.Devices.Read(), snapshot.Indexes.Read(), snapshot.Queues.Read());
        while (virtIds.TryNext(out var virtId))
        {
            SnapshotFormat.Require(
                model.TryAddVdevice(new ObjectId(vdevices.Next<uint>()), new ObjectId(devices.Next<uint>()), virtId), "Two vDevices of a vIOMMU have one id.");
        }

        while (indexes.TryNext<uint>(out var index))
        {
            SnapshotFormat.Require(model._queues.TryAdd(index, new ObjectId(queues.Next<uint>())), "Two hardware queues of a vIOMMU have one index.");
        }

        vdevices.End();
        devices.End();
        queues.End();
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

    private uint? FindQueue(ObjectId part)
    {
        foreach (var (index, queue) in _queues)
        {
            if (queue == part)
            {
                return index;
            }
        }

        return null;
    }
}

/// <summary>A saved vIOMMU.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.ViommuSnapshot")]
internal sealed record ViommuSnapshot : ObjectSnapshot
{
    /// <summary>The IOMMU behind it; null where it has no parts.</summary>
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

    /// <summary>The indexes of hardware queues, ascending: a column.</summary>
    [Id(4)]
    public DeltaColumn Indexes { get; init; }

    /// <summary>Those queues: a column.</summary>
    [Id(5)]
    public DeltaColumn Queues { get; init; }

    public override bool IsFirstState => Iommu is null;
}
