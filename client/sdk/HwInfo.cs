using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>What the IOMMU in front of a device says of itself.</summary>
/// <param name="Type">The kind of data.</param>
/// <param name="Data">The data, as the ABI has it; <see cref="UapiStruct.Read{T}"/> decodes it.</param>
/// <param name="Capabilities">What the IOMMU can do.</param>
/// <param name="MaxPasidLog2">Bits of the device's PASIDs; 0 without.</param>
public sealed record HwInfo(IommuHwInfoType Type, ReadOnlyMemory<byte> Data, IommuHwCapabilities Capabilities, int MaxPasidLog2);
