using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <content>The commands on devices and page tables, typed. Devices are bound and attached by drivers: see <see cref="IommuDriver"/>.</content>
public sealed partial class IommuContext
{
    // All emulated IOMMUs say less of themselves than this.
    private const int HwInfoBytes = 4096;

    /// <summary><c>IOMMU_HWPT_ALLOC</c>: allocates a hardware page table that mirrors an IOAS.</summary>
    /// <param name="device">The device that it is for.</param>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="flags">What it must be able to do.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>The HWPT.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT without such a device, EINVAL without such an IOAS; EOPNOTSUPP where the device's IOMMU can't do what is asked; EADDRINUSE where something is
    /// mapped or allowed outside the aperture or not aligned to the IOMMU's pages, EFAULT where mapped memory can't be pinned.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> AllocateHwptAsync(
        ObjectId device, ObjectId ioas, IommuHwptAllocFlags flags = IommuHwptAllocFlags.None, CancellationToken cancellationToken = default)
        => new((await RunAsync(
            IommuCommand.HwptAlloc, new IommuHwptAlloc { Flags = (uint)flags, DevId = device.Value, PtId = ioas.Value }, cancellationToken)).OutHwptId);

    /// <summary><c>IOMMU_GET_HW_INFO</c>: what the IOMMU in front of a device can do.</summary>
    /// <param name="device">The device.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>The information.</returns>
    /// <exception cref="IommufdException">ENOENT without such a device.</exception>
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

    /// <summary><c>IOMMU_HWPT_SET_DIRTY_TRACKING</c>: starts or stops to track what devices write.</summary>
    /// <param name="hwpt">The HWPT, allocated with <see cref="IommuHwptAllocFlags.DirtyTracking"/>.</param>
    /// <param name="enable">Whether to track. Every page is clean when it starts.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    /// <returns>When it is set.</returns>
    /// <exception cref="IommufdException">ENOENT without such a HWPT; EOPNOTSUPP where it can't track.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask SetDirtyTrackingAsync(ObjectId hwpt, bool enable, CancellationToken cancellationToken = default)
        => await RunAsync(
            IommuCommand.HwptSetDirtyTracking,
            new IommuHwptSetDirtyTracking { HwptId = hwpt.Value, Flags = (uint)(enable ? IommuHwptSetDirtyTrackingFlags.Enable : 0) },
            cancellationToken);

    /// <summary><c>IOMMU_HWPT_GET_DIRTY_BITMAP</c>: which pages devices have written. What one reply can't carry is read in parts.</summary>
    /// <param name="hwpt">The HWPT.</param>
    /// <param name="range">The IOVAs: whole pages of the IOAS and of <paramref name="pageSizeBytes"/>.</param>
    /// <param name="pageSizeBytes">What one bit stands for, in bytes.</param>
    /// <param name="clear">Whether what was read is clean afterwards.</param>
    /// <param name="cancellationToken">Stops the waiting; what was read may be clean then.</param>
    /// <returns>The dirty pages.</returns>
    /// <exception cref="IommufdException">ENOENT without such a HWPT; EOPNOTSUPP where it can't track; EINVAL for a range that is not aligned.</exception>
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
}
