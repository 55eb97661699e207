using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Uapi;

namespace IommuFd.Grains.IoPagetable;

// A page table of an IOMMU (the kernel's struct iommu_domain with its operations). A table's domains map exactly what its areas map, so a
// domain stores no mapping: the areas say what an IOVA leads to, and the domain has only what the hardware knows, which pages were written.
// An emulated IOMMU may derive from it to say what its domains can do.
//
// Always: only mapped pages are dirty, since unmapping a range clears its dirty bits.

/// <summary>A domain: what it can map, and which pages devices have written.</summary>
internal class IommuDomain
{
    private readonly string _iommu;
    private readonly DirtyPages? _dirty;

    public IommuDomain(string iommu, IovaRange aperture, ulong pageSize, bool canTrackDirty)
    {
        _iommu = iommu;
        Aperture = aperture;
        PageSize = pageSize;
        _dirty = canTrackDirty ? new DirtyPages(pageSize) : null;
    }

    /// <summary>The IOVAs that it can map (<c>geometry</c>).</summary>
    public IovaRange Aperture { get; }

    /// <summary>The IOVAs that it can't map: none, or one or two ranges.</summary>
    public IEnumerable<IovaRange> Outside
    {
        get
        {
            if (Aperture.Start > 0)
            {
                yield return new IovaRange(0, Aperture.Start - 1);
            }

            if (Aperture.Last < ulong.MaxValue)
            {
                yield return new IovaRange(Aperture.Last + 1, ulong.MaxValue);
            }
        }
    }

    /// <summary>Bytes of its smallest page: a power of two (the lowest bit of <c>pgsize_bitmap</c>).</summary>
    public ulong PageSize { get; }

    /// <summary>All sizes of pages that it can map, a bit each (<c>pgsize_bitmap</c>). Not saved: it follows from the IOMMU.</summary>
    public ulong PageSizeBitmap
    {
        get => field == 0 ? PageSize : field;
        init;
    }

    /// <summary>Bytes of the largest entry that it maps pages by: a power of two, at least a page. Not saved.</summary>
    public ulong LargestEntry
    {
        get => field == 0 ? PageSize : field;
        init;
    }

    /// <summary>
    /// The IOVAs that have one entry with an IOVA of an area, and with it one dirty bit: as many as the area maps, and as IOVA and address are
    /// aligned to. An IOMMU has entries of several sizes and takes the largest.
    /// </summary>
    /// <param name="area">The area.</param>
    /// <param name="iova">An IOVA of it.</param>
    public IovaRange EntryOf(IoptArea area, ulong iova)
    {
        var shift = area.Pages.Start + area.StartByteOf(iova) - iova;
        for (var size = LargestEntry; size > PageSize; size >>= 1)
        {
            var entry = new IovaRange(iova & ~(size - 1), iova | (size - 1));
            if ((PageSizeBitmap & size) != 0 && (shift & (size - 1)) == 0 && entry.Start >= area.Range.Start && entry.Last <= area.Range.Last)
            {
                return entry;
            }
        }

        return new IovaRange(iova & ~(PageSize - 1), iova | (PageSize - 1));
    }

    /// <summary>Whether it was allocated to track dirty pages (<c>dirty_ops</c>).</summary>
    public bool CanTrackDirty => _dirty is not null;

    /// <summary>Whether it tracks them now.</summary>
    public bool TracksDirty { get; private set; }

    /// <summary>Devices, and PASIDs of theirs, that are attached to it. Not saved: the context, which names them, tells them again.</summary>
    public long Users { get; set; }

    /// <summary>Number of dirty pages.</summary>
    public long DirtyCount => _dirty?.Count ?? 0;

    /// <summary>Saves the domain.</summary>
    public virtual DomainSnapshot Save()
    {
        var (words, bits) = _dirty?.Save() ?? default;
        return new DomainSnapshot
        {
            Iommu = _iommu,
            ApertureStart = Aperture.Start,
            ApertureLast = Aperture.Last,
            PageSize = PageSize,
            CanTrackDirty = CanTrackDirty,
            TracksDirty = TracksDirty,
            DirtyWords = words,
            DirtyBits = bits,
        };
    }

    /// <summary>Loads the saved state into a new domain.</summary>
    public virtual void Load(DomainSnapshot snapshot)
    {
        SnapshotFormat.Require(CanTrackDirty || (!snapshot.TracksDirty && snapshot.DirtyWords == default), "A domain that can't track dirty pages has dirty pages or tracks them.");
        TracksDirty = snapshot.TracksDirty;
        _dirty?.Restore(snapshot.DirtyWords, snapshot.DirtyBits);
    }

    /// <summary>
    /// The operation <c>attach_dev</c>: EINVAL if the device is behind another IOMMU, or can't track dirty pages and the domain does.
    /// </summary>
    /// <param name="device">The device.</param>
    /// <param name="iommu">The IOMMU that it is behind.</param>
    public virtual Errno Attach(DeviceDescription device, string iommu)
        => iommu != _iommu || (CanTrackDirty && !device.TracksDirtyPages) ? Errno.EINVAL : Errno.None;

    /// <summary>The operation <c>set_dev_pasid</c>: EINVAL if the device has no such PASID, or can't use this domain.</summary>
    /// <param name="device">The device.</param>
    /// <param name="iommu">The IOMMU that it is behind.</param>
    /// <param name="pasid">The PASID.</param>
    public virtual Errno SetPasid(DeviceDescription device, string iommu, uint pasid) => pasid >> device.PasidWidth == 0 ? Attach(device, iommu) : Errno.EINVAL;

    /// <summary>Starts or stops tracking (<c>set_dirty_tracking</c>).</summary>
    public virtual Errno SetDirtyTracking(bool enable)
    {
        TracksDirty = enable;
        return Errno.None;
    }

    /// <summary>Visits the dirty pages of a range, ascending, as runs of IOVAs.</summary>
    public IEnumerable<IovaRange> DirtyRuns(IovaRange range) => _dirty?.Runs(range) ?? [];

    /// <summary>Makes every page of a range clean.</summary>
    public void Clean(IovaRange range) => _dirty?.Clear(range);

    /// <summary>Marks the pages of an entry dirty, as a device's write does.</summary>
    public void MarkDirty(IovaRange entry)
    {
        for (var iova = entry.Start; _dirty is not null; iova += PageSize)
        {
            _dirty.Set(iova);
            if (iova + (PageSize - 1) >= entry.Last)
            {
                return;
            }
        }
    }
}

/// <summary>A saved domain.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.DomainSnapshot")]
internal record DomainSnapshot
{
    /// <summary>The IOMMU whose driver created the domain and restores it.</summary>
    [Id(0)]
    public required string Iommu { get; init; }

    [Id(1)]
    public ulong ApertureStart { get; init; }

    [Id(2)]
    public ulong ApertureLast { get; init; }

    [Id(3)]
    public ulong PageSize { get; init; }

    [Id(4)]
    public bool CanTrackDirty { get; init; }

    [Id(5)]
    public bool TracksDirty { get; init; }

    /// <summary>Indexes of the dirty bitmap's words, 64 pages each: a column.</summary>
    [Id(6)]
    public DeltaColumn DirtyWords { get; init; }

    /// <summary>The bits of those words: a column.</summary>
    [Id(7)]
    public DeltaColumn DirtyBits { get; init; }
}
