using IommuFd.Devices.Pci;

namespace IommuFd.Devices.Vfio;

/// <summary>What the VFIO driver does to a function when its file is bound and closed. In the function's loop.</summary>
internal static class VfioReset
{
    /// <summary>Resets the function and enables memory decode, without bus mastering (<c>vfio_pci_core_enable</c>).</summary>
    public static void OnOpen(PciFunction function)
    {
        function.Interrupts.Disable();
        SetPowerOn(function);
        function.Config.Set16(PciRegister.Command, PciRegister.CommandMemory);
        function.Reset();
    }

    /// <summary>Ends interrupts and DMA, and resets the function (<c>vfio_pci_core_disable</c>).</summary>
    public static void OnClose(PciFunction function)
    {
        function.Config.Set16(PciRegister.Command, 0);
        function.Interrupts.Disable();
        SetPowerOn(function);
        function.Reset();
        function.Connect(null);
    }

    /// <summary>Resets the function, whose config space stays as it is (<c>vfio_pci_ioctl_reset</c>).</summary>
    public static void Run(PciFunction function)
    {
        SetPowerOn(function);
        function.Reset();
    }

    private static void SetPowerOn(PciFunction function)
    {
        var offset = function.Config.Find(PciCapability.PowerManagement) + PciRegister.PowerControl;
        function.Config.Set16(offset, (ushort)(function.Config.Get16(offset) & ~PciRegister.PowerStateMask));
    }
}
