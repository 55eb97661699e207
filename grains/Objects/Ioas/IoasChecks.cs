using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>What the kernel's ioas.c checks of an argument before it looks the IOAS up: decided in the context's turn, without the IOAS.</summary>
internal static class IoasChecks
{
    public const IommuIoasMapFlags KnownMapFlags = IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Writeable | IommuIoasMapFlags.Readable;

    /// <summary>What <c>IOMMU_IOAS_IOVA_RANGES</c>, <c>_ALLOW_IOVAS</c> check.</summary>
    public static Errno Reserved(uint reserved) => reserved == 0 ? Errno.None : Errno.EOPNOTSUPP;

    /// <summary>What <c>IOMMU_IOAS_MAP</c> checks.</summary>
    public static Errno Map(IommuIoasMapFlags flags, uint reserved, ulong iova, ulong length)
        => reserved != 0 ? Errno.EOPNOTSUPP : Mapping(flags, Math.Max(iova, length));

    /// <summary>What <c>IOMMU_IOAS_MAP_FILE</c> checks.</summary>
    public static Errno MapFile(IommuIoasMapFlags flags, ulong iova, ulong length) => Mapping(flags, Math.Max(iova, length));

    /// <summary>What <c>IOMMU_IOAS_COPY</c> checks.</summary>
    public static Errno Copy(IommuIoasMapFlags flags, ulong length, ulong dstIova, ulong srcIova)
        => Mapping(flags, Math.Max(length, Math.Max(dstIova, srcIova)));

    /// <summary>What <c>IOMMU_TEST_OP_ADD_RESERVED</c> checks.</summary>
    public static Errno AddReserved(ulong start, ulong length, out IovaRange range)
    {
        range = default;
        if (length == 0)
        {
            return Errno.EINVAL;
        }

        return IovaRange.TryOfLength(start, length, out range) ? Errno.None : Errno.EOVERFLOW;
    }

    /// <summary>What is wrong with an <c>IOMMU_OPTION_HUGE_PAGES</c>, whatever the IOAS.</summary>
    public static Errno HugePages(IommuOptionOp op, ulong value) => op switch
    {
        IommuOptionOp.Get => Errno.None,
        IommuOptionOp.Set => value > 1 ? Errno.EINVAL : Errno.None,
        _ => Errno.EOPNOTSUPP,
    };

    private static Errno Mapping(IommuIoasMapFlags flags, ulong largest)
    {
        if ((flags & ~KnownMapFlags) != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        if (largest == ulong.MaxValue)
        {
            return Errno.EOVERFLOW;
        }

        return (flags & (IommuIoasMapFlags.Writeable | IommuIoasMapFlags.Readable)) != 0 ? Errno.None : Errno.EINVAL;
    }
}
