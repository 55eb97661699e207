namespace IommuFd.Devices.Pci;

/// <summary>What a function says it is.</summary>
/// <param name="Name">The kind of device, for people: <c>dma-test</c>.</param>
/// <param name="VendorId">The vendor.</param>
/// <param name="DeviceId">The vendor's number of the device.</param>
/// <param name="ClassCode">Class, subclass and programming interface, a byte each from the highest.</param>
/// <param name="Vectors">Interrupts that it has by MSI-X, at most 128.</param>
public sealed record PciIdentity(string Name, ushort VendorId, ushort DeviceId, uint ClassCode, int Vectors)
{
    /// <summary>The vendor id of the devices that are here, which PCI-SIG has given to nobody.</summary>
    public const ushort EmulatedVendor = 0x1234;

    /// <summary>The revision.</summary>
    public byte Revision { get; init; } = 1;
}
