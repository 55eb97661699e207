using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>A device that a driver has bound to a context. Disposing unbinds the device. Thread-safe.</summary>
public sealed class IommuDevice : IAsyncDisposable
{
    private readonly IommuDriver _driver;
    private readonly ReleaseOnce<DriverReply> _release;

    internal IommuDevice(IommuDriver driver, ObjectId id)
    {
        _driver = driver;
        Id = id;
        _release = new ReleaseOnce<DriverReply>(cancellationToken => driver.RunAsync("unbind", new UnbindDeviceRequest(id), cancellationToken).AsTask());
    }

    /// <summary>The device's id in ioctls.</summary>
    public ObjectId Id { get; }

    /// <summary>Attaches the device to a page table (<c>iommufd_device_attach</c>). The IOAS reserves the IOVAs that the device and its IOMMU can't map.</summary>
    /// <param name="pageTable">A HWPT, or an IOAS: the service then uses a HWPT of the IOAS that fits the device, or allocates one.</param>
    /// <param name="pasid">The PASID of the device to attach, to a HWPT allocated with <see cref="IommuFd.Uapi.IommuHwptAllocFlags.Pasid"/>; 0 for the device itself.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>The HWPT.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if there is no such page table; EBUSY if the device is attached; EINVAL if its group is attached elsewhere or its IOMMU can't use the HWPT;
    /// EADDRINUSE if a mapping or an allowed range lies outside the aperture or in a reserved region, EFAULT if mapped memory can't be pinned.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> AttachAsync(ObjectId pageTable, uint pasid = 0, CancellationToken cancellationToken = default)
        => (await _driver.RunAsync("attach", new AttachDeviceRequest(Id, pageTable, pasid), cancellationToken)).Id;

    /// <summary>
    /// Attaches the device, and its group with it, to another page table (<c>iommufd_device_replace</c>). The old attachment lasts until the new one is complete, and
    /// stays if the new one fails.
    /// </summary>
    /// <param name="pageTable">A HWPT, or an IOAS.</param>
    /// <param name="pasid">The PASID of the device to move; 0 for the device itself.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>The HWPT.</returns>
    /// <exception cref="IommufdException">EINVAL if the device is not attached; otherwise as <see cref="AttachAsync"/>.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> ReplaceAsync(ObjectId pageTable, uint pasid = 0, CancellationToken cancellationToken = default)
        => (await _driver.RunAsync("replace", new ReplaceDeviceRequest(Id, pageTable, pasid), cancellationToken)).Id;

    /// <summary>Detaches the device (<c>iommufd_device_detach</c>). A HWPT that the service allocated for an IOAS is destroyed with its last attachment.</summary>
    /// <param name="pasid">The PASID of the device to detach; 0 for the device itself.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the device is detached.</returns>
    /// <exception cref="IommufdException">EINVAL if the device is not attached.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask DetachAsync(uint pasid = 0, CancellationToken cancellationToken = default) => await _driver.RunAsync("detach", new DetachDeviceRequest(Id, pasid), cancellationToken);

    /// <summary>
    /// Reports a group of page faults (<c>iommu_report_device_fault</c>), which goes to the fault queue of the page table that the device, or its PASID, is attached to. Where there
    /// is no queue, or the queue is full, the service answers the group as invalid, which is a success here.
    /// </summary>
    /// <param name="faults">The page faults: 1 to <see cref="IoctlLimits.MaxFaultGroup"/>, all with one PASID and one group number.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the group is queued or answered; does not wait for the response to a group in the queue.</returns>
    /// <exception cref="IommufdException">EINVAL if the faults are no group, ENOENT if the device is unbound, EBADF if the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask ReportFaultsAsync(IEnumerable<PageFault> faults, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(faults);
        await _driver.RunAsync("report faults", new ReportFaultsRequest(Id, [.. faults]), cancellationToken);
    }

    /// <summary>Reports an event to the vIOMMU of the nested page table that the device is attached to (<c>iommufd_viommu_report_event</c>).</summary>
    /// <param name="data">
    /// The event, in the format of the device's IOMMU: an <see cref="IommuFd.Uapi.IommuVeventArmSmmuv3"/> for a <see cref="DeviceDescription.VirtualIommu"/>, whose stream id the
    /// service replaces by the guest's; the selftest's uses no data.
    /// </param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the event is queued, or is lost because the queue holds as many as its depth says.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if the device is unbound or has no vIOMMU, EOPNOTSUPP if that has no queue for its events; EINVAL if the data is no event; EBADF if the driver's reference was put;
    /// ENOMEM if the event is lost because the queue holds <see cref="IoctlLimits.MaxQueued"/>, fewer than its depth says.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask ReportEventAsync(ReadOnlyMemory<byte> data = default, CancellationToken cancellationToken = default)
        => await _driver.RunAsync("report event", new ReportEventRequest(Id, data.ToArray()), cancellationToken);

    /// <summary>
    /// Translates an access of the device, as the IOMMU in front of it does: finds the memory behind IOVAs, by the page table that the device, or its PASID, is
    /// attached to. The caller copies the bytes. A write makes the pages dirty, if the page table tracks them. A fault does not throw: it is counted at the device,
    /// and waits for a response if the page table has a fault queue.
    /// </summary>
    /// <param name="ranges">The IOVAs: 1 to <see cref="IoctlLimits.MaxDmaRanges"/>, together at most <see cref="IoctlLimits.MaxAccessBytes"/> bytes.</param>
    /// <param name="write">Whether the device writes the memory.</param>
    /// <param name="pasid">The PASID of the access; 0 for none.</param>
    /// <param name="group">The number of the page fault's group, by the caller's own counting; for <see cref="TakeFaultResponseAsync"/>.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>The memory, or why there is none.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<DmaTranslation> TranslateAsync(
        ReadOnlyMemory<DmaRange> ranges, bool write, uint pasid = 0, uint group = 0, CancellationToken cancellationToken = default)
    {
        var reply = await _driver.TryRunAsync("translate", new TranslateRequest(Id, ranges.ToArray(), write, pasid, group), cancellationToken);
        return new DmaTranslation(reply.Errno, reply.Memory ?? [], reply.Dma?.IsReported == true, reply.Diagnostic);
    }

    /// <summary>
    /// Reports that bytes of an access could not be copied after its translation, since the memory behind the IOVA is gone. It is counted and shown as an access that was
    /// refused, with EFAULT.
    /// </summary>
    /// <param name="range">From the IOVA where the copy failed to the end of the access's range.</param>
    /// <param name="write">Whether the device writes the memory.</param>
    /// <param name="pasid">The PASID of the access; 0 for none.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when it is counted, or the device is unbound.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask ReportMemoryGoneAsync(DmaRange range, bool write, uint pasid = 0, CancellationToken cancellationToken = default)
        => await _driver.TryRunAsync("report memory that is gone", new TranslateRequest(Id, [range], write, pasid, IsMemoryGone: true), cancellationToken);

    /// <summary>Takes the response to a page fault that <see cref="TranslateAsync"/> has reported. Does not wait for it.</summary>
    /// <param name="group">The number of the fault's group.</param>
    /// <param name="pasid">The PASID of the access; 0 for none.</param>
    /// <param name="cancellationToken">Cancels the wait; the response may be taken all the same.</param>
    /// <returns>
    /// The response; null while there is none. <see cref="IommuPageResponseCode.Invalid"/> also where none can come any more, since the device was detached.
    /// </returns>
    /// <exception cref="IommufdException">ENOENT if the device is unbound, EBADF if the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<IommuPageResponseCode?> TakeFaultResponseAsync(uint group, uint pasid = 0, CancellationToken cancellationToken = default)
    {
        var reply = await _driver.TryRunAsync("take fault response", new TakeFaultResponseRequest(Id, group, pasid), cancellationToken);
        return reply switch
        {
            { Errno: Errno.None } => reply.Dma?.Response ?? IommuPageResponseCode.Invalid,
            { Errno: Errno.EAGAIN } => null,
            { Errno: Errno.ENOENT, Diagnostic.Reason: DiagnosticReason.NoFaultResponse } => IommuPageResponseCode.Invalid,
            _ => throw new IommufdException("take fault response", reply.Errno, reply.Diagnostic),
        };
    }

    /// <summary>Unbinds the device (<c>iommufd_device_unbind</c>), which also detaches it. Never fails for a bound device.</summary>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the device's object is destroyed.</returns>
    /// <exception cref="IommufdException">ENOENT if the device is unbound, EBADF if the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task UnbindAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Unbinds the device unless that was done before. Does not throw.</summary>
    /// <returns>Completes when the device is unbound.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();
}
