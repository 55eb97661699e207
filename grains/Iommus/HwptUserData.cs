using IommuFd.Uapi;

namespace IommuFd.Grains.Iommus;

/// <summary>The type-specific data of an <c>IOMMU_HWPT_ALLOC</c>, as found in the caller's memory.</summary>
/// <param name="Type">Its kind.</param>
/// <param name="Length">Bytes that the caller declares.</param>
/// <param name="Content">The leading bytes that can be read, up to the limit that travels.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.HwptUserData")]
internal sealed record HwptUserData([property: Id(0)] IommuHwptDataType Type, [property: Id(1)] uint Length, [property: Id(2)] byte[] Content);
