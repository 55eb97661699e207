namespace IommuFd.Devices.Pci;

/// <summary>Capabilities of a function, by their ids.</summary>
public enum PciCapability : byte
{
    /// <summary>Power management.</summary>
    PowerManagement = 0x01,

    /// <summary>Message-signalled interrupts.</summary>
    Msi = 0x05,

    /// <summary>PCI Express.</summary>
    Express = 0x10,

    /// <summary>Message-signalled interrupts with a table.</summary>
    Msix = 0x11,
}

/// <summary>Registers of the config space, and their bits (PCI Local Bus 3.0 and PCI Express Base).</summary>
internal static class PciRegister
{
    public const int VendorId = 0x00;
    public const int DeviceId = 0x02;
    public const int Command = 0x04;
    public const int Status = 0x06;
    public const int Revision = 0x08;
    public const int ClassCode = 0x09;
    public const int CacheLineSize = 0x0C;
    public const int LatencyTimer = 0x0D;
    public const int HeaderType = 0x0E;
    public const int Bar0 = 0x10;
    public const int SubsystemVendorId = 0x2C;
    public const int SubsystemId = 0x2E;
    public const int CapabilityPointer = 0x34;
    public const int InterruptLine = 0x3C;
    public const int InterruptPin = 0x3D;

    public const ushort CommandMemory = 1 << 1;
    public const ushort CommandMaster = 1 << 2;
    public const ushort CommandIntxDisable = 1 << 10;
    public const ushort CommandWritable = 0x0547;
    public const ushort StatusInterrupt = 1 << 3;
    public const ushort StatusCapabilityList = 1 << 4;
    public const ushort StatusClearable = 0xF900;

    public const int PowerControl = 4;
    public const ushort PowerStateMask = 3;
    public const ushort PowerNoSoftReset = 1 << 3;

    public const int MsiControl = 2;
    public const ushort MsiEnable = 1 << 0;
    public const int MsixControl = 2;
    public const ushort MsixEnable = 1 << 15;
    public const ushort MsixFunctionMask = 1 << 14;

    public const int ExpressDeviceControl = 8;
    public const ushort ExpressFunctionReset = 1 << 15;
}
