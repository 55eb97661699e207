namespace IommuFd.Devices.Pci;

/// <summary>Writes the config space of a new function.</summary>
internal static class PciHeader
{
    private const int PowerLength = 8;
    private const int MsiLength = 14;
    private const int ExpressLength = 60;
    private const int MsixLength = 12;
    private const int MsiVectorsLog2 = 2;

    public static void Write(ConfigSpace config, PciIdentity identity)
    {
        config.Set16(PciRegister.VendorId, identity.VendorId);
        config.Set16(PciRegister.DeviceId, identity.DeviceId);
        config.Set16(PciRegister.Command, 0, PciRegister.CommandWritable);
        config.Set16(PciRegister.Status, 0, clearable: PciRegister.StatusClearable);
        config.Set8(PciRegister.Revision, identity.Revision);
        config.Set8(PciRegister.ClassCode, (byte)identity.ClassCode);
        config.Set8(PciRegister.ClassCode + 1, (byte)(identity.ClassCode >> 8));
        config.Set8(PciRegister.ClassCode + 2, (byte)(identity.ClassCode >> 16));
        config.Set8(PciRegister.CacheLineSize, 0, 0xFF);
        config.Set8(PciRegister.LatencyTimer, 0, 0xFF);
        config.Set16(PciRegister.SubsystemVendorId, identity.VendorId);
        config.Set16(PciRegister.SubsystemId, identity.DeviceId);
        config.Set8(PciRegister.InterruptLine, 0xFF, 0xFF);
        config.Set8(PciRegister.InterruptPin, 1);
    }

    public static void AddBar(ConfigSpace config, int index, int length, bool is64Bit)
    {
        const uint Type64 = 4;
        var offset = PciRegister.Bar0 + (index * 4);
        config.Set32(offset, is64Bit ? Type64 : 0, ~(uint)(length - 1));
        if (is64Bit)
        {
            config.Set32(offset + 4, 0, uint.MaxValue);
        }
    }

    public static void AddCapabilities(ConfigSpace config, int vectors, int msixBar, int pendingOffset)
    {
        // Version 3, and no soft reset on the way from D3 to D0.
        var power = config.AddCapability(PciCapability.PowerManagement, PowerLength);
        config.Set16(power + 2, 3);
        config.Set16(power + PciRegister.PowerControl, PciRegister.PowerNoSoftReset, PciRegister.PowerStateMask);

        // 4 vectors, addresses of 64 bits.
        var msi = config.AddCapability(PciCapability.Msi, MsiLength);
        config.Set16(msi + PciRegister.MsiControl, (MsiVectorsLog2 << 1) | (1 << 7), PciRegister.MsiEnable | (7 << 4));
        config.Set32(msi + 4, 0, 0xFFFF_FFFC);
        config.Set32(msi + 8, 0, uint.MaxValue);
        config.Set16(msi + 12, 0, ushort.MaxValue);

        // An endpoint of version 2 with function-level reset; payloads of 256 bytes; a link of 4 lanes at 8 GT/s.
        var express = config.AddCapability(PciCapability.Express, ExpressLength);
        config.Set16(express + 2, 2);
        config.Set32(express + 4, 1 | (1 << 15) | (1 << 28));
        config.Set16(express + PciRegister.ExpressDeviceControl, 0x2810, 0xFFFF);
        config.Set16(express + 10, 0, clearable: 0xF);
        config.Set32(express + 12, 3 | (4 << 4));
        config.Set16(express + 16, 0, 0x0FFB);
        config.Set16(express + 18, 3 | (4 << 4));
        config.Set32(express + 36, 0x1F);
        config.Set16(express + 40, 0, 0x1F);
        config.Set16(express + 48, 3, 0xF);

        var msix = config.AddCapability(PciCapability.Msix, MsixLength);
        config.Set16(msix + PciRegister.MsixControl, (ushort)(vectors - 1), PciRegister.MsixEnable | PciRegister.MsixFunctionMask);
        config.Set32(msix + 4, (uint)msixBar);
        config.Set32(msix + 8, (uint)(pendingOffset | msixBar));
    }
}
