using System.Runtime.InteropServices;
using IommuFd.Uapi;
using static IommuFd.Uapi.Errno;

namespace IommuFd.Linearizability;

// What a guest's IOMMU is made of: nested page tables, vIOMMUs and vDevices, and the caches that invalidations reach. Fault queues and vEVENTQs are left out: their
// files hold them until they are closed, which no ioctl does, so that a history can't tell when. HW queues are left out too: they pin memory, which would make
// every rule of IOASes another.

internal sealed partial class ContextSpecification
{
    /// <summary>The value that a device's cache starts with.</summary>
    public const uint DeviceCache = 0xBADDAD;

    private const IommuHwptAllocFlags PagingFlags = IommuHwptAllocFlags.NestParent | IommuHwptAllocFlags.DirtyTracking | IommuHwptAllocFlags.Pasid;
    private const uint CacheEntries = 4;
    private const int MostEntries = 16;

    private static (ContextState, IoctlAnswer) HwptAlloc(ContextState state, IommuHwptAlloc cmd)
    {
        if (((IommuHwptAllocFlags)cmd.Flags).HasFlag(IommuHwptAllocFlags.FaultIdValid))
        {
            throw OutOfScope("page tables with a fault queue");
        }

        if (cmd.Reserved != 0)
        {
            return Fail(state, EOPNOTSUPP);
        }

        if ((cmd.DataType == (uint)IommuHwptDataType.None) != (cmd.DataLen == 0))
        {
            return Fail(state, EINVAL);
        }

        if (state.Find<DeviceObject>(cmd.DevId) is null)
        {
            return Fail(state, ENOENT);
        }

        var (hwpt, errno) = state.Find(cmd.PtId) switch
        {
            IoasObject => PagingHwpt(state, cmd),
            HwptObject parent => NestedHwpt(cmd, parent.IsNestParent ? None : EINVAL),
            ViommuObject => NestedHwpt(cmd, None),
            _ => (null, EINVAL),
        };
        return hwpt is null ? Fail(state, errno) : Succeed(state.With(state.FreeId, hwpt), cmd with { OutHwptId = state.FreeId });
    }

    // Data says the format of the page table; callers ask for the default, or for one that is not there.
    private static (ContextObject? Hwpt, Errno Errno) PagingHwpt(ContextState state, IommuHwptAlloc cmd)
    {
        var flags = (IommuHwptAllocFlags)cmd.Flags;
        if ((flags & ~PagingFlags) != 0)
        {
            return (null, EOPNOTSUPP);
        }

        if (cmd.DataLen > 0 && ReadData(cmd, out var data) is var errno && (errno != None || data.PagetableType != 0))
        {
            return (null, errno == None ? EOPNOTSUPP : errno);
        }

        errno = CheckMirror(state, cmd.PtId);
        return errno == None ? (new HwptObject(cmd.PtId, IsAuto: false, flags.HasFlag(IommuHwptAllocFlags.NestParent)), None) : (null, errno);
    }

    // Flags and whether there is data come before what is wrong with the parent, and that before what is wrong with the data.
    private static (ContextObject? Hwpt, Errno Errno) NestedHwpt(IommuHwptAlloc cmd, Errno parent)
    {
        if (((IommuHwptAllocFlags)cmd.Flags & ~IommuHwptAllocFlags.Pasid) != 0 || cmd.DataLen == 0)
        {
            return (null, EOPNOTSUPP);
        }

        IommuHwptSelftest data = default;
        var errno = parent == None ? ReadData(cmd, out data) : parent;
        return errno == None ? (new NestedHwptObject(cmd.PtId, data.Iotlb, 0), None) : (null, errno);
    }

    // The struct may be shorter than the known one, but not longer, and must have its first field.
    private static Errno ReadData(IommuHwptAlloc cmd, out IommuHwptSelftest data)
    {
        data = default;
        if (cmd.DataType != (uint)IommuHwptDataType.Selftest)
        {
            return EOPNOTSUPP;
        }

        if (cmd.DataLen < sizeof(uint) || cmd.DataLen > Marshal.SizeOf<IommuHwptSelftest>())
        {
            return EINVAL;
        }

        data = ReadStruct<IommuHwptSelftest>(cmd.DataUptr, cmd.DataLen);
        return None;
    }

    private static (ContextState, IoctlAnswer) ViommuAlloc(ContextState state, IommuViommuAlloc cmd)
    {
        if (cmd.DataLen != 0)
        {
            throw OutOfScope("vIOMMUs with data");
        }

        if (cmd.Flags != 0 || cmd.Type == (uint)IommuViommuType.Default)
        {
            return Fail(state, EOPNOTSUPP);
        }

        if (state.Find<DeviceObject>(cmd.DevId) is null)
        {
            return Fail(state, ENOENT);
        }

        if (cmd.Type != (uint)IommuViommuType.Selftest)
        {
            return Fail(state, EOPNOTSUPP);
        }

        return state.Find<HwptObject>(cmd.HwptId) switch
        {
            null => Fail(state, ENOENT),
            { IsNestParent: false } => Fail(state, EINVAL),
            _ => Succeed(state.With(state.FreeId, new ViommuObject(cmd.HwptId)), cmd with { OutViommuId = state.FreeId }),
        };
    }

    // A device has one vDevice at most, on whichever vIOMMU.
    private static (ContextState, IoctlAnswer) VdeviceAlloc(ContextState state, IommuVdeviceAlloc cmd)
    {
        if (state.Find<ViommuObject>(cmd.ViommuId) is null || state.Find<DeviceObject>(cmd.DevId) is null)
        {
            return Fail(state, ENOENT);
        }

        return Vdevices(state).Any(pair => pair.Vdevice.Device == cmd.DevId) || FindVdevice(state, cmd.ViommuId, cmd.VirtId) is not null
            ? Fail(state, EEXIST)
            : Succeed(state.With(state.FreeId, new VdeviceObject(cmd.ViommuId, cmd.DevId, cmd.VirtId)), cmd with { OutVdeviceId = state.FreeId });
    }

    // The number of entries that were carried out is in the answer, whatever else that is.
    private static (ContextState, IoctlAnswer) HwptInvalidate(ContextState state, IommuHwptInvalidate cmd)
    {
        if (cmd.EntryNum > MostEntries)
        {
            throw OutOfScope("many invalidations at once");
        }

        var (next, errno, done) = state.Find(cmd.HwptId) switch
        {
            _ when cmd.Reserved != 0 => (state, EOPNOTSUPP, 0U),
            _ when cmd.EntryNum > 0 && (cmd.DataUptr == 0 || cmd.EntryLen == 0) => (state, EINVAL, 0U),
            null => (state, ENOENT, 0U),
            NestedHwptObject or ViommuObject when cmd.DataType != (uint)IommuHwptInvalidateDataType.Selftest => (state, EINVAL, 0U),
            NestedHwptObject hwpt => InvalidateHwpt(state, hwpt, cmd),
            ViommuObject => InvalidateViommu(state, cmd),
            _ => (state, EINVAL, 0U),
        };
        return (next, new IoctlAnswer(errno, UapiStruct.ToBytes(cmd with { EntryNum = done })));
    }

    // Entries are read one by one.
    private static (ContextState Next, Errno Errno, uint Done) InvalidateHwpt(ContextState state, NestedHwptObject hwpt, IommuHwptInvalidate cmd)
    {
        for (var i = 0U; i < cmd.EntryNum; i++)
        {
            if (cmd.EntryLen != Marshal.SizeOf<IommuHwptInvalidateSelftest>())
            {
                return (state, EINVAL, i);
            }

            var entry = ReadStruct<IommuHwptInvalidateSelftest>(cmd.DataUptr + (i * cmd.EntryLen), cmd.EntryLen);
            if (Select(entry.Flags, entry.IotlbId, out var selected) is var errno && errno != None)
            {
                return (state, errno, i);
            }

            hwpt = hwpt with { Invalidated = hwpt.Invalidated | selected };
            state = state.With(cmd.HwptId, hwpt);
        }

        return (state, None, cmd.EntryNum);
    }

    // All entries are read before the first is carried out. They may be longer than the known ones, with zeros behind.
    private static (ContextState Next, Errno Errno, uint Done) InvalidateViommu(ContextState state, IommuHwptInvalidate cmd)
    {
        var known = (uint)Marshal.SizeOf<IommuViommuInvalidateSelftest>();
        for (var i = 0U; i < cmd.EntryNum; i++)
        {
            if (cmd.EntryLen > known && CallerStructs.Read(cmd.DataUptr + (i * cmd.EntryLen) + known, cmd.EntryLen - known).ContainsAnyExcept((byte)0))
            {
                return (state, E2BIG, 0);
            }
        }

        for (var i = 0U; i < cmd.EntryNum; i++)
        {
            var entry = ReadStruct<IommuViommuInvalidateSelftest>(cmd.DataUptr + (i * cmd.EntryLen), Math.Min(cmd.EntryLen, known));
            if (Select(entry.Flags, entry.CacheId, out var selected) is var errno && errno != None)
            {
                return (state, errno, i);
            }

            if (FindVdevice(state, cmd.HwptId, entry.VdevId) is not { } vdevice)
            {
                return (state, EINVAL, i);
            }

            var device = state.Find<DeviceObject>(vdevice.Device)!;
            state = state.With(vdevice.Device, device with { Invalidated = device.Invalidated | selected });
        }

        return (state, None, cmd.EntryNum);
    }

    // The entries of a cache that an invalidation names.
    private static Errno Select(uint flags, uint entry, out uint selected)
    {
        selected = flags == 0 ? 1U << (int)(entry % CacheEntries) : (1U << (int)CacheEntries) - 1;
        return (flags & ~(uint)IommuTestInvalidateFlags.All) != 0 ? EOPNOTSUPP : entry >= CacheEntries ? EINVAL : None;
    }

    private static (ContextState, IoctlAnswer) CheckIotlb(ContextState state, IommuTestCmd cmd)
    {
        var check = cmd.Fields.As<IommuTestCheckIotlb>();
        return state.Find<NestedHwptObject>(cmd.Id) is { } hwpt ? CheckCache(state, hwpt.Iotlb, hwpt.Invalidated, check.Id, check.Iotlb) : Fail(state, ENOENT);
    }

    private static (ContextState, IoctlAnswer) CheckDeviceCache(ContextState state, IommuTestCmd cmd)
    {
        var check = cmd.Fields.As<IommuTestCheckDevCache>();
        return state.Find<DeviceObject>(cmd.Id) is { } device ? CheckCache(state, DeviceCache, device.Invalidated, check.Id, check.Cache) : Fail(state, ENOENT);
    }

    private static (ContextState, IoctlAnswer) CheckCache(ContextState state, uint initial, uint invalidated, uint entry, uint expected)
        => (state, new IoctlAnswer(entry < CacheEntries && expected == ((invalidated >> (int)entry & 1) == 0 ? initial : 0) ? None : EINVAL));

    // A device can use a page table of a guest's IOMMU only as a device of that guest.
    private static bool CanUse(ContextState state, uint device, NestedHwptObject hwpt)
        => state.Find(hwpt.Base) is not ViommuObject || Vdevices(state).Any(pair => pair.Vdevice.Viommu == hwpt.Base && pair.Vdevice.Device == device);

    // Its id stays taken.
    private static ContextState EndVdevice(ContextState state, uint device)
        => Vdevices(state).FirstOrDefault(pair => pair.Vdevice.Device == device) is { Id: > 0 } pair ? state.With(pair.Id, TombstoneObject.Instance) : state;

    private static VdeviceObject? FindVdevice(ContextState state, uint viommu, ulong virtId)
        => Vdevices(state).FirstOrDefault(pair => pair.Vdevice.Viommu == viommu && pair.Vdevice.VirtId == virtId).Vdevice;

    private static IEnumerable<(uint Id, VdeviceObject Vdevice)> Vdevices(ContextState state)
        => state.Objects.Where(pair => pair.Object is VdeviceObject).Select(pair => (pair.Id, (VdeviceObject)pair.Object));

    // What a caller's struct lacks is zeros.
    private static T ReadStruct<T>(ulong address, uint length)
        where T : unmanaged
    {
        var bytes = new byte[Marshal.SizeOf<T>()];
        CallerStructs.Read(address, length).CopyTo(bytes);
        return UapiStruct.Read<T>(bytes);
    }
}
