using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A device that a driver has bound to a context. Disposing it unbinds it. Thread-safe.</summary>
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

    /// <summary>The device's id, by which ioctls name it.</summary>
    public ObjectId Id { get; }

    /// <summary>Attaches the device to a page table (<c>iommufd_device_attach</c>). What of the device and its IOMMU can't be mapped is reserved.</summary>
    /// <param name="pageTable">A HWPT, or an IOAS: of an IOAS, a HWPT that fits is found or made.</param>
    /// <param name="pasid">A PASID of the device, to attach that: to a HWPT allocated with <see cref="IommuFd.Uapi.IommuHwptAllocFlags.Pasid"/>; 0 for the device itself.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>The HWPT.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT without such a page table; EBUSY where the device is attached; EINVAL where its group is attached elsewhere or its IOMMU can't use the HWPT;
    /// EADDRINUSE where something is mapped or allowed that can't be, and EFAULT where mapped memory can't be pinned.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> AttachAsync(ObjectId pageTable, uint pasid = 0, CancellationToken cancellationToken = default)
        => (await _driver.RunAsync("attach", new AttachDeviceRequest(Id, pageTable, pasid), cancellationToken)).Id;

    /// <summary>
    /// Attaches the device, and its group with it, to another page table (<c>iommufd_device_replace</c>). The old attachment holds until the new one stands,
    /// and where the new one fails, it stays.
    /// </summary>
    /// <param name="pageTable">A HWPT, or an IOAS.</param>
    /// <param name="pasid">A PASID of the device, to move that; 0 for the device itself.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>The HWPT.</returns>
    /// <exception cref="IommufdException">EINVAL where the device is not attached; otherwise as <see cref="AttachAsync"/>.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<ObjectId> ReplaceAsync(ObjectId pageTable, uint pasid = 0, CancellationToken cancellationToken = default)
        => (await _driver.RunAsync("replace", new ReplaceDeviceRequest(Id, pageTable, pasid), cancellationToken)).Id;

    /// <summary>Detaches the device (<c>iommufd_device_detach</c>). A HWPT that was made for an IOAS goes with its last device.</summary>
    /// <param name="pasid">A PASID of the device, to detach that; 0 for the device itself.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When it is detached.</returns>
    /// <exception cref="IommufdException">EINVAL where it is not attached.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask DetachAsync(uint pasid = 0, CancellationToken cancellationToken = default) => await _driver.RunAsync("detach", new DetachDeviceRequest(Id, pasid), cancellationToken);

    /// <summary>Unbinds the device (<c>iommufd_device_unbind</c>), which detaches it too. Does not fail for a device that is bound.</summary>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When its object is gone.</returns>
    /// <exception cref="IommufdException">ENOENT where it was unbound already, EBADF where the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task UnbindAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Unbinds the device where that was not done. Does not throw.</summary>
    /// <returns>When it is unbound.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();
}
