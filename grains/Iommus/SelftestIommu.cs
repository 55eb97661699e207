using System.Runtime.CompilerServices;
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

    // The first version of a vIOMMU's data has in_data and out_data.
    private const int LeastViommuBytes = 2 * sizeof(uint);

    // The selftest fails every second attachment of this one.
    private const uint FailingPasid = 1024;

    // Its formats of page tables: MOCK_IOMMUPT_DEFAULT, and MOCK_IOMMUPT_HUGE, which is for memory in huge pages and has entries of two sizes.
    private const uint DefaultPagetable = 0, HugePagetable = 1;

    private const ulong HugePageSize = 512 * PageSize;

    private static readonly IovaRange Aperture = new(1UL << 24, (1UL << 31) - 1);

    private static readonly IovaRange HugeAperture = new(0, (1UL << 56) - 1);

    public override string Name => DeviceDescription.SelftestIommu;

    public override EmulatedViommu Viommu { get; } = new SelftestViommu();

    public override bool HasUserPasidTable => true;

    public override bool CanNest(DeviceDescription device) => true;

    public override bool HasViommu(DeviceDescription device, IommuViommuType type) => type == IommuViommuType.Selftest;

    public override Errno AllocateDomain(DeviceDescription device, IommuHwptAllocFlags flags, HwptUserData? data, out IommuDomain? domain)
    {
        domain = null;
        var tracksDirty = flags.HasFlag(IommuHwptAllocFlags.DirtyTracking);
        if ((flags & ~PagingFlags) != 0 || (tracksDirty && !TracksDirty(device)))
        {
            return Errno.EOPNOTSUPP;
        }

        var pagetable = DefaultPagetable;
        if (data is not null && CheckData(data, out pagetable) is var errno && errno != Errno.None)
        {
            return errno;
        }

        domain = pagetable == HugePagetable
            ? CreateDomain(Name, HugeAperture, PageSizes.Page, tracksDirty)
            : CreateDomain(Name, Aperture, PageSize, tracksDirty);
        return Errno.None;
    }

    // From its own smallest page to half of an address space of 38 bits, as Linux's does.
    protected override ulong PageSizesOf(string instance, ulong pageSize)
        => pageSize == PageSize ? (1UL << 38) - PageSize : HugePageSize | PageSizes.Page;

    // Huge pages are contiguous by their own promise. Of other memory it is only known that a page is.
    protected override ulong LargestEntryOf(ulong pageSize) => pageSize == PageSize ? PageSizes.Page : HugePageSize;

    public override EmulatedDevice CreateDevice(DeviceDescription device) => new SelftestDevice();

    public override Errno CheckNested(HwptUserData data, bool onViommu, out byte[] config)
    {
        config = new byte[Unsafe.SizeOf<IommuHwptSelftest>()];
        return Copy(data, config);
    }

    public override NestedDomain CreateNested(byte[] config) => new SelftestNestedDomain(UapiStruct.Read<IommuHwptSelftest>(config).Iotlb);

    public override Errno InitViommu(UserBuffer? data, uint length, out ViommuSetup setup)
    {
        setup = new ViommuSetup([], 0);
        if (data is null)
        {
            return Errno.None;
        }

        var config = new byte[Unsafe.SizeOf<IommuViommuSelftest>()];
        setup = new ViommuSetup(config, 2 * PageSizes.Page);
        return UserData.Copy(data.Content, length, LeastViommuBytes, config);
    }

    public override byte[]? ViommuAnswer(in ViommuSetup setup, ulong mmapOffset)
    {
        if (setup.MmapBytes == 0)
        {
            return null;
        }

        var data = UapiStruct.Read<IommuViommuSelftest>(setup.Config);
        return UapiStruct.ToBytes(new IommuViommuSelftest { InData = data.InData, OutData = data.InData, OutMmapOffset = mmapOffset, OutMmapLength = setup.MmapBytes });
    }

    public override Errno Attach(in AttachmentTarget target, DeviceAttachment? before, out DeviceAttachment? after)
    {
        var selftest = before as SelftestAttachment ?? SelftestAttachment.None;
        var errno = target.Pasid == FailingPasid ? AttachFailing(target.IsBlocked, ref selftest) : target.Pasid != 0 ? Errno.None : Learn(target, ref selftest);
        after = selftest == SelftestAttachment.None ? null : selftest;
        return errno;
    }

    // An event of this IOMMU says who reports it, and nothing else.
    public override byte[] EventOf(ulong virtId, ReadOnlySpan<byte> data, out IommuVeventqType type)
    {
        type = IommuVeventqType.Selftest;
        return UapiStruct.ToBytes(new IommuViommuEventSelftest { VirtId = (uint)virtId });
    }

    // A device learns its id when its vIOMMU changes, and keeps it as long as that is the same, whatever its vDevice does.
    private static Errno Learn(in AttachmentTarget target, ref SelftestAttachment attachment)
    {
        if (target.Viommu != default && target.VirtId is null)
        {
            return Errno.ENOENT;
        }

        if (target.Viommu != attachment.Viommu)
        {
            attachment = attachment with { Viommu = target.Viommu, VirtId = target.VirtId ?? 0 };
        }

        return Errno.None;
    }

    // For tests of what follows from a failure: every second attachment of this PASID fails, counted from its last detachment.
    private static Errno AttachFailing(bool isBlocked, ref SelftestAttachment attachment)
    {
        var fails = !isBlocked && attachment.FailsNext;
        attachment = attachment with { FailsNext = !isBlocked && !fails };
        return fails ? Errno.ENOMEM : Errno.None;
    }

    private static Errno CheckData(HwptUserData data, out uint pagetable)
    {
        Span<byte> known = stackalloc byte[Unsafe.SizeOf<IommuHwptSelftest>()];
        var errno = Copy(data, known);
        pagetable = errno == Errno.None ? UapiStruct.Read<IommuHwptSelftest>(known).PagetableType : default;
        return pagetable is DefaultPagetable or HugePagetable ? errno : Errno.EOPNOTSUPP;
    }

    // An extensible struct: it needs at least its first field.
    private static Errno Copy(HwptUserData data, Span<byte> known)
        => data.Type == IommuHwptDataType.Selftest ? UserData.Copy(data.Content, data.Length, sizeof(uint), known) : Errno.EOPNOTSUPP;

    private sealed class SelftestDevice : EmulatedDevice
    {
        private const uint CacheDefault = 0xBADDAD;

        private readonly uint[] _cache = SelftestCache.Of(CacheDefault);

        public override ReadOnlySpan<uint> Cache => _cache;

        public override void InvalidateCache(uint entries) => SelftestCache.Invalidate(_cache, entries);

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

/// <summary>What the selftest's IOMMU remembers of a device's attachments.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.SelftestAttachment")]
internal sealed record SelftestAttachment : DeviceAttachment
{
    public static readonly SelftestAttachment None = new();

    /// <summary>Whether the next attachment of PASID 1024 fails.</summary>
    [Id(0)]
    public bool FailsNext { get; init; }
}
