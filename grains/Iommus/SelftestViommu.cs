using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.Grains.Encoding;
using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

// The caches of the selftest's IOMMU: four numbers each, which an invalidation sets to 0. A nested page table has one, and so has each device.

/// <summary>A cache of the selftest's IOMMU.</summary>
internal static class SelftestCache
{
    private const int Entries = 4;

    public static uint[] Of(uint value) => [.. Enumerable.Repeat(value, Entries)];

    /// <summary>Sets the entries to 0 whose bits are set.</summary>
    public static void Invalidate(uint[] cache, uint entries)
    {
        for (var entry = 0; entry < Entries; entry++)
        {
            cache[entry] = (entries & (1U << entry)) == 0 ? cache[entry] : 0;
        }
    }

    /// <summary>Which entries an invalidation names: one bit each.</summary>
    /// <param name="flags">Its flags; EOPNOTSUPP for an unknown one.</param>
    /// <param name="entry">The entry; EINVAL where there is none, also with the flag for all.</param>
    /// <param name="entries">The entries.</param>
    public static Errno Select(uint flags, uint entry, out uint entries)
    {
        entries = 0;
        if ((flags & ~(uint)IommuTestInvalidateFlags.All) != 0)
        {
            return Errno.EOPNOTSUPP;
        }

        if (entry >= Entries)
        {
            return Errno.EINVAL;
        }

        entries = flags == 0 ? 1U << (int)entry : (1U << Entries) - 1;
        return Errno.None;
    }
}

/// <summary>A nested page table of the selftest's IOMMU.</summary>
/// <param name="initial">What each entry of its cache has at first.</param>
internal sealed class SelftestNestedDomain(uint initial) : NestedDomain
{
    private readonly uint[] _iotlb = SelftestCache.Of(initial);

    public override ReadOnlySpan<uint> Iotlb => _iotlb;

    public override InvalidationFormat? Format => new(IommuHwptInvalidateDataType.Selftest, Unsafe.SizeOf<IommuHwptInvalidateSelftest>(), IsExact: true);

    public override Errno Invalidate(in InvalidationEntries entries, out uint done)
    {
        done = 0;
        if (entries.Type != IommuHwptInvalidateDataType.Selftest)
        {
            return Errno.EINVAL;
        }

        for (; done < entries.Count; done++)
        {
            var errno = Decode(entries, done, out var selected);
            if (errno != Errno.None)
            {
                return errno;
            }

            SelftestCache.Invalidate(_iotlb, selected);
        }

        return Errno.None;
    }

    public override HardwareSnapshot? Save() => _iotlb.AsSpan().ContainsAnyExcept(initial) ? new SelftestHardwareSnapshot([.. _iotlb]) : null;

    public override void Load(HardwareSnapshot snapshot)
    {
        var saved = SnapshotFormat.Expect<SelftestHardwareSnapshot>(snapshot).Cache;
        SnapshotFormat.Require(saved?.Length == _iotlb.Length, "A nested page table's cache has the wrong size.");
        saved.CopyTo(_iotlb, 0);
    }

    private static Errno Decode(in InvalidationEntries entries, uint index, out uint selected)
    {
        selected = 0;
        IommuHwptInvalidateSelftest entry = default;
        var errno = UserData.Copy(entries, index, Unsafe.SizeOf<IommuHwptInvalidateSelftest>(), MemoryMarshal.AsBytes(new Span<IommuHwptInvalidateSelftest>(ref entry)));
        return errno == Errno.None ? SelftestCache.Select(entry.Flags, entry.IotlbId, out selected) : errno;
    }
}

/// <summary>The hardware behind vIOMMUs of the selftest's IOMMU.</summary>
internal sealed class SelftestViommu : EmulatedViommu
{
    private const uint MaxHwQueues = 2;

    public override uint HwQueues(IommuHwQueueType type) => type == IommuHwQueueType.Selftest ? MaxHwQueues : 0;

    // A queue of Linux's selftest never notes its index, so that each frees the index 0, and the index 1 can be used once.
    public override uint FreedHwQueue(uint index) => 0;

    public override InvalidationFormat? Format => new(IommuHwptInvalidateDataType.Selftest, Unsafe.SizeOf<IommuViommuInvalidateSelftest>(), IsExact: false);

    public override Errno Invalidate(in InvalidationEntries entries, Func<ulong, bool> isVdevice, List<CacheInvalidation> invalidations, out uint done)
    {
        done = 0;
        if (entries.Type != IommuHwptInvalidateDataType.Selftest)
        {
            return Errno.EINVAL;
        }

        // All entries are copied before the first is carried out.
        var copied = new IommuViommuInvalidateSelftest[entries.Count];
        for (var i = 0U; i < entries.Count; i++)
        {
            if (UserData.CopyAny(entries, i, MemoryMarshal.AsBytes(copied.AsSpan((int)i, 1))) is var fault && fault != Errno.None)
            {
                return fault;
            }
        }

        foreach (var entry in copied)
        {
            var errno = SelftestCache.Select(entry.Flags, entry.CacheId, out var selected);
            if (errno == Errno.None && !isVdevice(entry.VdevId))
            {
                errno = Errno.EINVAL;
            }

            if (errno != Errno.None)
            {
                return errno;
            }

            invalidations.Add(new CacheInvalidation(entry.VdevId, selected));
            done++;
        }

        return Errno.None;
    }
}
