using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Iommus;

/// <summary>What a device, or a PASID of it, is to be attached to, as its IOMMU's driver sees it (<c>attach_dev</c>, <c>set_dev_pasid</c>).</summary>
/// <param name="Pasid">The PASID; 0 for the device itself.</param>
/// <param name="IsBlocked">Whether it is to be attached to nothing: it is detached.</param>
/// <param name="Viommu">The vIOMMU of the nested page table; 0 for a page table without one.</param>
/// <param name="VirtId">The device's id on that vIOMMU; null where it has none.</param>
internal readonly record struct AttachmentTarget(uint Pasid, bool IsBlocked, ObjectId Viommu, ulong? VirtId);

/// <summary>What a driver remembers of a device's attachments, beside what they lead to. Drivers that remember more derive from it.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.DeviceAttachment")]
internal record DeviceAttachment
{
    /// <summary>The vIOMMU that the device's events go to; 0 for none.</summary>
    [Id(0)]
    public ObjectId Viommu { get; init; }

    /// <summary>The device's id there, as it was when the device was attached.</summary>
    [Id(1)]
    public ulong VirtId { get; init; }
}
