using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// What attaching devices and accesses changes in an IOAS. The context decides which changes a command needs and sends them in one
// call: all of them are made, or none. Changes that take something away can't fail, and come last.

/// <summary>One change of an IOAS by a device, a page table or an access.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.IoasChange")]
internal abstract record IoasChange;

/// <summary>Makes the domain of a HWPT (<c>domain_alloc_paging_flags</c>). EOPNOTSUPP where the IOMMU has no such domain.</summary>
/// <param name="Hwpt">The HWPT.</param>
/// <param name="Device">The device that it is made for.</param>
/// <param name="Flags">What the domain must be able to do.</param>
/// <param name="Data">Type-specific data; null for none.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AllocateDomain")]
internal sealed record AllocateDomain(
    [property: Id(0)] ObjectId Hwpt,
    [property: Id(1)] DeviceDescription Device,
    [property: Id(2)] IommuHwptAllocFlags Flags,
    [property: Id(3)] HwptUserData? Data) : IoasChange;

/// <summary>
/// Lets a domain mirror what is mapped (<c>iopt_table_add_domain</c>). EADDRINUSE where an area or an allowed range lies outside the domain's aperture or
/// is not aligned to its pages; EFAULT or EINVAL where mapped memory can't be pinned.
/// </summary>
/// <param name="Hwpt">The HWPT, whose domain was made before.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AddDomain")]
internal sealed record AddDomain([property: Id(0)] ObjectId Hwpt) : IoasChange;

/// <summary>Takes a domain out and frees it.</summary>
/// <param name="Hwpt">The HWPT.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.RemoveDomain")]
internal sealed record RemoveDomain([property: Id(0)] ObjectId Hwpt) : IoasChange;

/// <summary>Attaches a device, or a PASID of it, to a domain (<c>attach_dev</c>, <c>set_dev_pasid</c>). EINVAL where they do not fit.</summary>
/// <param name="Hwpt">The HWPT.</param>
/// <param name="Device">The device.</param>
/// <param name="Pasid">The PASID; 0 for the device itself.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AttachToDomain")]
internal sealed record AttachToDomain(
    [property: Id(0)] ObjectId Hwpt, [property: Id(1)] DeviceDescription Device, [property: Id(2)] uint Pasid = 0) : IoasChange;

/// <summary>Counts a user of a domain: a device or a PASID that is attached to it. ENOENT without such a domain, as only a damaged snapshot can have it.</summary>
/// <param name="Hwpt">The HWPT.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.JoinDomain")]
internal sealed record JoinDomain([property: Id(0)] ObjectId Hwpt) : IoasChange;

/// <summary>Counts a user of a domain no more.</summary>
/// <param name="Hwpt">The HWPT.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.LeaveDomain")]
internal sealed record LeaveDomain([property: Id(0)] ObjectId Hwpt) : IoasChange;

/// <summary>Reserves a device's regions (<c>iopt_table_enforce_dev_resv_regions</c>). EADDRINUSE where an IOVA of them is mapped or allowed.</summary>
/// <param name="Device">The device, with which the reservations go.</param>
/// <param name="Regions">The regions.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReserveRegions")]
internal sealed record ReserveRegions([property: Id(0)] ObjectId Device, [property: Id(1)] IovaRange[] Regions) : IoasChange;

/// <summary>Gives up a device's regions.</summary>
/// <param name="Device">The device.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.RemoveReserved")]
internal sealed record RemoveReserved([property: Id(0)] ObjectId Device) : IoasChange;

/// <summary>Adds an access (<c>iopt_add_access</c>). EADDRINUSE where it pins pages and an area is not aligned to them.</summary>
/// <param name="Access">The access.</param>
/// <param name="NeedsPinPages">Whether it pins pages.</param>
/// <param name="LocksAreas">Whether what it pins can't be unmapped.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.AddAccess")]
internal sealed record AddAccess(
    [property: Id(0)] ObjectId Access, [property: Id(1)] bool NeedsPinPages, [property: Id(2)] bool LocksAreas = false) : IoasChange;

/// <summary>Takes an access out, with every pin.</summary>
/// <param name="Access">The access.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.RemoveAccess")]
internal sealed record RemoveAccess([property: Id(0)] ObjectId Access) : IoasChange;
