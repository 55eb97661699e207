using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.IoPagetable;
using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

/// <summary>
/// The IOMMU of Linux's own selftest: a small aperture and pages smaller than the machine's, so that every corner case is close.
/// </summary>
internal sealed class SelftestIommu : IommuDriver
{
    private const IommuHwptAllocFlags PagingFlags = IommuHwptAllocFlags.NestParent | IommuHwptAllocFlags.DirtyTracking | IommuHwptAllocFlags.Pasid;

    private const ulong PageSize = 2048;

    // Its default page-table format; only Linux's own tests ask for the others.
    private const uint DefaultPagetable = 0;

    private static readonly IovaRange Aperture = new(1UL << 24, (1UL << 31) - 1);

    public override string Name => DeviceDescription.SelftestIommu;

    public override bool CanNest => true;

    public override Errno AllocateDomain(DeviceDescription device, IommuHwptAllocFlags flags, HwptUserData? data, out IommuDomain? domain)
    {
        domain = null;
        var tracksDirty = flags.HasFlag(IommuHwptAllocFlags.DirtyTracking);
        if ((flags & ~PagingFlags) != 0 || (tracksDirty && !TracksDirty(device)))
        {
            return Errno.EOPNOTSUPP;
        }

        if (data is not null && CheckData(data) is var errno && errno != Errno.None)
        {
            return errno;
        }

        domain = new IommuDomain(Name, Aperture, PageSize, tracksDirty);
        return Errno.None;
    }

    public override EmulatedDevice CreateDevice(DeviceDescription device) => new SelftestDevice();

    // An extensible struct: it needs at least its first field, and bytes behind the known fields must be zero.
    private static Errno CheckData(HwptUserData data)
    {
        if (data.Type != IommuHwptDataType.Selftest)
        {
            return Errno.EOPNOTSUPP;
        }

        if (data.Length < sizeof(uint))
        {
            return Errno.EINVAL;
        }

        var known = 2 * sizeof(uint);
        if (data.Content.Length > known && data.Content.AsSpan(known).IndexOfAnyExcept((byte)0) >= 0)
        {
            return Errno.E2BIG;
        }

        if ((uint)data.Content.Length < data.Length)
        {
            return Errno.EFAULT;
        }

        return UapiStruct.Read<IommuHwptSelftest>(data.Content).PagetableType == DefaultPagetable ? Errno.None : Errno.EOPNOTSUPP;
    }

    private sealed class SelftestDevice : EmulatedDevice
    {
        private const uint CacheDefault = 0xBADDAD;

        private readonly uint[] _cache = [CacheDefault, CacheDefault, CacheDefault, CacheDefault];

        public override ReadOnlySpan<uint> Cache => _cache;

        public override HardwareSnapshot? Save() => _cache.AsSpan().ContainsAnyExcept(CacheDefault) ? new SelftestHardwareSnapshot([.. _cache]) : null;

        public override void Load(HardwareSnapshot snapshot)
        {
            var cache = SnapshotFormat.Expect<SelftestHardwareSnapshot>(snapshot).Cache;
            SnapshotFormat.Require(cache?.Length == _cache.Length, "A device's cache has the wrong size.");
            cache.CopyTo(_cache, 0);
        }

        public override Errno HwInfo(ref IommuHwInfoType type, out byte[] data)
        {
            data = [];
            if (type is not (IommuHwInfoType.Default or IommuHwInfoType.Selftest))
            {
                return Errno.EOPNOTSUPP;
            }

            type = IommuHwInfoType.Selftest;
            data = UapiStruct.ToBytes(new IommuTestHwInfo { TestReg = 0xDEADBEEF });
            return Errno.None;
        }
    }
}

/// <summary>The saved hardware of a device behind the selftest's IOMMU.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.SelftestHardwareSnapshot")]
internal sealed record SelftestHardwareSnapshot([property: Id(0)] uint[] Cache) : HardwareSnapshot;
