using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>What the IOMMU in front of a device reports.</summary>
/// <param name="Type">The kind of data.</param>
/// <param name="Data">The data in the layout of the ABI; <see cref="UapiStruct.Read{T}"/> decodes it.</param>
/// <param name="Capabilities">What the IOMMU supports.</param>
/// <param name="MaxPasidLog2">How many bits the device's PASIDs have; 0 without PASIDs.</param>
public sealed record HwInfo(IommuHwInfoType Type, ReadOnlyMemory<byte> Data, IommuHwCapabilities Capabilities, int MaxPasidLog2);
