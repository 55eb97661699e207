using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

// What a guest's SMMUv3 may ask of the real one, by Arm's numbers: which stream table entries are valid, and which commands invalidate something. What is
// invalidated can't be seen here, since nothing is cached.

/// <summary>The hardware behind vIOMMUs in the formats of Arm's SMMUv3.</summary>
internal sealed class SmmuViommu : EmulatedViommu
{
    // The valid bit, the configuration, and what concerns the guest's own stage.
    private const ulong AllowedSte0 = 1 | ConfigMask | 0xF80F_FFFF_FFFF_FFF0;
    private const ulong AllowedSte1 = 0x3800_00FF;
    private const ulong ConfigMask = 0b1110;
    private const ulong ConfigAbort = 0b0000;
    private const ulong ConfigBypass = 0b1000;
    private const ulong ConfigStage1 = 0b1010;
    private const ulong AtsMask = 0x3000_0000;
    private const ulong AtsAbort = 0;
    private const ulong AtsTranslate = 0x1000_0000;

    /// <summary>Whether a stream table entry is one that a guest may have: an invalid one, or one that aborts, bypasses or translates by its first stage.</summary>
    public static bool IsStreamTableEntry(IommuHwptArmSmmuv3 entry)
        => (entry.Ste0 & 1) == 0
            || ((entry.Ste0 & ~AllowedSte0) == 0
                && (entry.Ste1 & ~AllowedSte1) == 0
                && (entry.Ste0 & ConfigMask) is ConfigAbort or ConfigBypass or ConfigStage1
                && (entry.Ste1 & AtsMask) is AtsAbort or AtsTranslate);

    public override InvalidationFormat? Format => new(IommuHwptInvalidateDataType.ArmSmmuv3, Unsafe.SizeOf<IommuViommuArmSmmuv3Invalidate>(), IsExact: false);

    public override Errno Invalidate(in InvalidationEntries entries, Func<ulong, bool> isVdevice, List<CacheInvalidation> invalidations, out uint done)
    {
        done = 0;
        if (entries.Type != IommuHwptInvalidateDataType.ArmSmmuv3 || entries.Count == 0)
        {
            return Errno.EINVAL;
        }

        // All commands are copied before the first is carried out.
        var commands = new IommuViommuArmSmmuv3Invalidate[entries.Count];
        for (var i = 0U; i < entries.Count; i++)
        {
            if (UserData.CopyAny(entries, i, MemoryMarshal.AsBytes(commands.AsSpan((int)i, 1))) is var fault && fault != Errno.None)
            {
                return fault;
            }
        }

        for (; done < entries.Count; done++)
        {
            if (!IsKnown(commands[done].Cmd0, isVdevice))
            {
                return Errno.EIO;
            }
        }

        return Errno.None;
    }

    // TLBI_NH_ALL, _ASID, _VA, _VAA and TLBI_NSNH_ALL concern the whole vIOMMU; CFGI_CD, CFGI_CD_ALL and ATC_INV name a stream.
    private static bool IsKnown(ulong command, Func<ulong, bool> isVdevice) => (command & 0xFF) switch
    {
        0x10 or 0x11 or 0x12 or 0x13 or 0x30 => true,
        0x05 or 0x06 or 0x40 => isVdevice(command >> 32),
        _ => false,
    };
}
