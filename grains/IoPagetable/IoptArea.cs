using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable;

// A mapping: a range of IOVAs and the slice of shared pages behind it. Areas of one table never overlap. An area is created once its
// mapping is complete, and what it maps never changes: unmapping removes it, splitting replaces it with two.

/// <summary>What DMA may do, in the kernel's values.</summary>
[Flags]
internal enum IommuProt : byte
{
    None = 0,

    /// <summary><c>IOMMU_READ</c>.</summary>
    Read = 1 << 0,

    /// <summary><c>IOMMU_WRITE</c>.</summary>
    Write = 1 << 1,

    /// <summary><c>IOMMU_CACHE</c>: every mapping is coherent, since programs could not flush caches themselves.</summary>
    Cache = 1 << 2,

    /// <summary>Everything.</summary>
    All = Read | Write | Cache,
}

/// <summary>What permissions permit.</summary>
internal static class IommuProts
{
    /// <summary>Whether DMA may do anything at all: VFIO's type1 interface can map memory that it may not.</summary>
    public static bool CanBeAccessed(this IommuProt prot) => (prot & (IommuProt.Read | IommuProt.Write)) != 0;
}

/// <summary>One mapped range of IOVAs.</summary>
internal sealed class IoptArea(IovaRange range, IoptPages pages, ulong startByte, IommuProt prot)
{
    /// <summary>The IOVAs.</summary>
    public IovaRange Range { get; } = range;

    /// <summary>The pages behind them.</summary>
    public IoptPages Pages { get; } = pages;

    /// <summary>Where the area starts in its pages, in bytes from the first page's start.</summary>
    public ulong StartByte { get; } = startByte;

    /// <summary>What DMA may do.</summary>
    public IommuProt Prot { get; } = prot;

    /// <summary>
    /// Pins that accesses hold in the area (<c>num_accesses</c>). While there is one, the area can be neither unmapped nor split.
    /// </summary>
    public int Pins { get; set; }

    /// <summary>Pins among them that keep the area from being unmapped (<c>num_locks</c>).</summary>
    public int Locks { get; set; }

    /// <summary>The slice of pages behind the whole area.</summary>
    public PagesSlice Slice => new(Pages, StartByte, Length);

    /// <summary>Bytes mapped. Never 2^64, which no request's length can express.</summary>
    public ulong Length => Range.Last - Range.Start + 1;

    /// <summary>Where an IOVA of the area lies in its pages, in bytes from the first page's start.</summary>
    public ulong StartByteOf(ulong iova) => iova - Range.Start + StartByte;

    /// <summary>The greatest power of two, at most a page, that divides the area's start, length and offset in its first page.</summary>
    public ulong Alignment
    {
        get
        {
            var bits = Range.Start | Length | PageSizes.OffsetOf(StartByte) | PageSizes.Page;
            return bits & (0 - bits);
        }
    }
}
