using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <content>Typed commands on devices and page tables. Drivers bind and attach devices: see <see cref="IommuDriver"/>.</content>
public sealed partial class IommuContext
{
    // More than any emulated IOMMU reports.
    private const int HwInfoBytes = 4096;

    /// <summary><c>IOMMU_HWPT_ALLOC</c>: allocates a hardware page table that mirrors an IOAS.</summary>
    /// <param name="device">The device that the page table is for.</param>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="flags">What the page table must support.</param>
    /// <param name="faultQueue">The fault queue that gets the page faults of attached devices, by the flag <see cref="IommuHwptAllocFlags.FaultIdValid"/>; default for none.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The HWPT.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if there is no such device or fault queue, EINVAL if there is no such IOAS; EOPNOTSUPP if the device's IOMMU does not support the flags; EADDRINUSE if a mapping or an
    /// allowed range lies outside the aperture or is not aligned to the IOMMU's pages, EFAULT if mapped memory can't be pinned.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> AllocateHwptAsync(
        ObjectId device,
        ObjectId ioas,
        IommuHwptAllocFlags flags = IommuHwptAllocFlags.None,
        ObjectId faultQueue = default,
        CancellationToken cancellationToken = default)
        => new((await RunAsync(IommuCommand.HwptAlloc, HwptAlloc(device, ioas, flags, faultQueue), cancellationToken)).OutHwptId);

    /// <summary><c>IOMMU_GET_HW_INFO</c>: what the IOMMU in front of a device supports.</summary>
    /// <param name="device">The device.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The information.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such device.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<HwInfo> GetHwInfoAsync(ObjectId device, CancellationToken cancellationToken = default)
    {
        var buffer = new UserBuffer { Length = HwInfoBytes, WritableBytes = HwInfoBytes };
        var request = Request(IommuCommand.GetHwInfo, new IommuHwInfo { DevId = device.Value, DataLen = HwInfoBytes }, [buffer]);
        var reply = await SendAsync(request, cancellationToken);
        var info = IoctlResult.From((uint)IommuCommand.GetHwInfo, reply).ThrowIfFailed().Read<IommuHwInfo>();
        return new HwInfo(
            (IommuHwInfoType)info.OutDataType, reply.Buffers?[0].Content ?? [], (IommuHwCapabilities)info.OutCapabilities, info.OutMaxPasidLog2);
    }

    /// <summary><c>IOMMU_HWPT_SET_DIRTY_TRACKING</c>: starts or stops tracking which pages devices write.</summary>
    /// <param name="hwpt">The HWPT, allocated with <see cref="IommuHwptAllocFlags.DirtyTracking"/>.</param>
    /// <param name="enable">Whether to track. All pages are clean when tracking starts.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>Completes when tracking is switched.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such HWPT; EOPNOTSUPP if the HWPT can't track.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask SetDirtyTrackingAsync(ObjectId hwpt, bool enable, CancellationToken cancellationToken = default)
        => await RunAsync(
            IommuCommand.HwptSetDirtyTracking,
            new IommuHwptSetDirtyTracking { HwptId = hwpt.Value, Flags = (uint)(enable ? IommuHwptSetDirtyTrackingFlags.Enable : 0) },
            cancellationToken);

    /// <summary><c>IOMMU_HWPT_GET_DIRTY_BITMAP</c>: which pages devices have written. A bitmap that does not fit into one reply is read in parts.</summary>
    /// <param name="hwpt">The HWPT.</param>
    /// <param name="range">The IOVAs: whole pages, both of the IOAS and of <paramref name="pageSizeBytes"/>.</param>
    /// <param name="pageSizeBytes">How many bytes one bit stands for.</param>
    /// <param name="clear">Whether to mark the pages clean that were read.</param>
    /// <param name="cancellationToken">Cancels the wait; the pages that were read may be clean by then.</param>
    /// <returns>The dirty pages.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such HWPT; EOPNOTSUPP if it can't track; EINVAL if the range is not aligned.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<DirtyBitmap> GetDirtyBitmapAsync(
        ObjectId hwpt, IovaRange range, ulong pageSizeBytes, bool clear = true, CancellationToken cancellationToken = default)
    {
        var bitmap = new DirtyBitmap(range, pageSizeBytes);
        var parts = new Stack<IovaRange>([range]);
        while (parts.TryPop(out var part))
        {
            var cmd = new IommuHwptGetDirtyBitmap
            {
                HwptId = hwpt.Value,
                Flags = (uint)(clear ? 0 : IommuHwptGetDirtyBitmapFlags.NoClear),
                Iova = part.Start,
                Length = part.LengthBytes,
                PageSize = pageSizeBytes,
            };
            var reply = await SendAsync(Request(IommuCommand.HwptGetDirtyBitmap, in cmd), cancellationToken);
            if (reply.Errno == Errno.ENOMEM && bitmap.TrySplit(part, out var low, out var high))
            {
                parts.Push(high);
                parts.Push(low);
                continue;
            }

            IoctlResult.From((uint)IommuCommand.HwptGetDirtyBitmap, reply).ThrowIfFailed();
            foreach (var piece in reply.Buffers ?? [])
            {
                bitmap.Add(part, piece.Address, piece.Content);
            }
        }

        return bitmap;
    }

    private static IommuHwptAlloc HwptAlloc(ObjectId device, ObjectId pageTable, IommuHwptAllocFlags flags, ObjectId faultQueue) => new()
    {
        Flags = (uint)(flags | (faultQueue == default ? 0 : IommuHwptAllocFlags.FaultIdValid)),
        DevId = device.Value,
        PtId = pageTable.Value,
        FaultId = faultQueue.Value,
    };
}
