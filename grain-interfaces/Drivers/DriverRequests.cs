using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What drivers ask of a context: the functions that Linux's iommufd exports to VFIO and others. Each is a request type, and one method of
// the context's grain takes them all, in order of arrival. A driver can only act on the devices and accesses that it created.

/// <summary>A driver's request to a context.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.DriverRequest")]
public abstract record DriverRequest;

/// <summary>Lets the driver hold an object: adds 1 to its users count, under the driver's name.</summary>
/// <param name="Target">The object; ENOENT if there is none, EINVAL if only its own driver can hold it.</param>
/// <param name="Type">The kind it must have, or <see cref="ObjectType.Any"/>.</param>
/// <param name="Why">What the hold is for: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters, else EINVAL.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.HoldObjectRequest")]
public sealed record HoldObjectRequest([property: Id(0)] ObjectId Target, [property: Id(1)] ObjectType Type, [property: Id(2)] string Why) : DriverRequest;

/// <summary>Drops a hold of the driver: subtracts 1 from the object's users count.</summary>
/// <param name="Hold">The hold; ENOENT if the driver has no such hold.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DropHoldRequest")]
public sealed record DropHoldRequest([property: Id(0)] HoldId Hold) : DriverRequest;

/// <summary><c>iommufd_device_bind</c>: creates a device object, which this driver holds until it unbinds it.</summary>
/// <param name="Device">The device. EINVAL if its description is invalid or its IOMMU can't keep caches coherent; ENODEV if there is no
/// such IOMMU.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.BindDeviceRequest")]
public sealed record BindDeviceRequest([property: Id(0)] DeviceDescription Device) : DriverRequest;

/// <summary>
/// <c>iommufd_device_unbind</c>: detaches the device if it is attached, and destroys its object. Never fails for a device of this driver.
/// </summary>
/// <param name="Device">The device.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UnbindDeviceRequest")]
public sealed record UnbindDeviceRequest([property: Id(0)] ObjectId Device) : DriverRequest;

/// <summary><c>iommufd_device_attach</c>: attaches the device to a page table.</summary>
/// <param name="Device">The device.</param>
/// <param name="PageTable">A HWPT, or an IOAS, for which a HWPT is found or allocated.</param>
/// <param name="Pasid">The PASID of the device to attach; 0 for the device itself. PASIDs need a HWPT allocated with the PASID
/// flag.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AttachDeviceRequest")]
public sealed record AttachDeviceRequest(
    [property: Id(0)] ObjectId Device, [property: Id(1)] ObjectId PageTable, [property: Id(2)] uint Pasid = 0) : DriverRequest;

/// <summary>
/// <c>iommufd_device_replace</c>: moves the device, and its group with it, to another page table, with no unattached moment in between.
/// </summary>
/// <param name="Device">The device; EINVAL if it is not attached.</param>
/// <param name="PageTable">A HWPT, or an IOAS, for which a HWPT is found or allocated.</param>
/// <param name="Pasid">The PASID of the device to move; 0 for the device itself.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReplaceDeviceRequest")]
public sealed record ReplaceDeviceRequest(
    [property: Id(0)] ObjectId Device, [property: Id(1)] ObjectId PageTable, [property: Id(2)] uint Pasid = 0) : DriverRequest;

/// <summary>
/// <c>iommufd_device_detach</c>: detaches the device. A HWPT that was allocated automatically for an IOAS goes with its last device.
/// </summary>
/// <param name="Device">The device; EINVAL if it is not attached.</param>
/// <param name="Pasid">The PASID of the device to detach; 0 for the device itself.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DetachDeviceRequest")]
public sealed record DetachDeviceRequest([property: Id(0)] ObjectId Device, [property: Id(1)] uint Pasid = 0) : DriverRequest;

/// <summary>
/// <c>iommu_report_device_fault</c>: the device reports a group of page faults, which goes to the fault queue of the page table that the
/// device, or its PASID, is attached to. Without one the device is told at once that the access can't be made.
/// </summary>
/// <param name="Device">The device.</param>
/// <param name="Faults">
/// The page faults: 1 to <see cref="IoctlLimits.MaxFaultGroup"/>, all with one PASID and one group number, else EINVAL.
/// </param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReportFaultsRequest")]
public sealed record ReportFaultsRequest([property: Id(0)] ObjectId Device, [property: Id(1)] PageFault[] Faults) : DriverRequest;

/// <summary>
/// <c>iommufd_viommu_report_event</c>: the device reports an event to the vIOMMU of the nested page table that it is attached to.
/// </summary>
/// <param name="Device">The device; ENOENT if it has no vIOMMU, EOPNOTSUPP if that has no queue for its events.</param>
/// <param name="Data">
/// The event, in the format of the device's IOMMU, else EINVAL: 32 bytes for a <see cref="DeviceDescription.VirtualIommu"/>, whose stream id
/// is replaced by the guest's; not used by the selftest's.
/// </param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReportEventRequest")]
public sealed record ReportEventRequest([property: Id(0)] ObjectId Device, [property: Id(1)] byte[] Data) : DriverRequest;

/// <summary>An access of a device that its page table does not permit or translate.</summary>
/// <param name="Address">The address that was accessed.</param>
/// <param name="Access">What the access wanted.</param>
/// <param name="Group">The group that the fault belongs to, numbered by the device.</param>
/// <param name="Pasid">The PASID of the access; 0 for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PageFault")]
public readonly record struct PageFault(
    [property: Id(0)] ulong Address, [property: Id(1)] IommuPgfaultPerm Access, [property: Id(2)] uint Group = 0, [property: Id(3)] uint Pasid = 0);

/// <summary><c>iommufd_access_create</c>: creates an access object, which this driver holds until it destroys it.</summary>
/// <param name="NeedsPinPages">Whether it pins pages, which requires the IOVAs of its IOAS to be aligned to pages.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.CreateAccessRequest")]
public sealed record CreateAccessRequest([property: Id(0)] bool NeedsPinPages) : DriverRequest;

/// <summary>
/// <c>iommufd_access_destroy</c>: detaches the access, with every pin, and destroys its object. Never fails for an access of this driver.
/// </summary>
/// <param name="Access">The access.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DestroyAccessRequest")]
public sealed record DestroyAccessRequest([property: Id(0)] ObjectId Access) : DriverRequest;

/// <summary><c>iommufd_access_attach</c>: attaches the access to an IOAS.</summary>
/// <param name="Access">The access; EINVAL if it is attached.</param>
/// <param name="Ioas">The IOAS; EADDRINUSE if the access pins pages and the IOAS's areas are not aligned to pages.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AttachAccessRequest")]
public sealed record AttachAccessRequest([property: Id(0)] ObjectId Access, [property: Id(1)] ObjectId Ioas) : DriverRequest;

/// <summary><c>iommufd_access_replace</c>: moves the access to another IOAS. Its pins are dropped.</summary>
/// <param name="Access">The access; ENOENT if it is not attached.</param>
/// <param name="Ioas">The IOAS.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReplaceAccessRequest")]
public sealed record ReplaceAccessRequest([property: Id(0)] ObjectId Access, [property: Id(1)] ObjectId Ioas) : DriverRequest;

/// <summary><c>iommufd_access_detach</c>: detaches the access, with every pin.</summary>
/// <param name="Access">The access; EINVAL if it is not attached.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.DetachAccessRequest")]
public sealed record DetachAccessRequest([property: Id(0)] ObjectId Access) : DriverRequest;

/// <summary><c>iommufd_access_pin_pages</c>: pins the pages behind IOVAs until they are unpinned or unmapped.</summary>
/// <param name="Access">The access; EINVAL if it was not created to pin pages, ENOENT if it is not attached.</param>
/// <param name="Iova">The first IOVA.</param>
/// <param name="Length">Bytes, at most <see cref="IoctlLimits.MaxAccessBytes"/>.</param>
/// <param name="Write">Whether they will be written: EPERM if an area is not writeable.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinPagesRequest")]
public sealed record PinPagesRequest(
    [property: Id(0)] ObjectId Access, [property: Id(1)] ulong Iova, [property: Id(2)] ulong Length, [property: Id(3)] bool Write) : DriverRequest;

/// <summary><c>iommufd_access_unpin_pages</c>: drops a pin.</summary>
/// <param name="Access">The access.</param>
/// <param name="Pin">The pin; ENOENT if it is gone, for example because its IOVAs were unmapped.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.UnpinPagesRequest")]
public sealed record UnpinPagesRequest([property: Id(0)] ObjectId Access, [property: Id(1)] uint Pin) : DriverRequest;

/// <summary><c>iommufd_access_rw</c>: finds the memory behind IOVAs. The caller's side copies the bytes.</summary>
/// <param name="Access">The access; ENOENT if it is not attached.</param>
/// <param name="Iova">The first IOVA.</param>
/// <param name="Length">Bytes, at most <see cref="IoctlLimits.MaxAccessBytes"/>.</param>
/// <param name="Write">Whether they will be written: EPERM if an area is not writeable.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AccessRwRequest")]
public sealed record AccessRwRequest(
    [property: Id(0)] ObjectId Access, [property: Id(1)] ulong Iova, [property: Id(2)] ulong Length, [property: Id(3)] bool Write) : DriverRequest;
