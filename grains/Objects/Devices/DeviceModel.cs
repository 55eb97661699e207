using IommuFd.GrainInterfaces;
using IommuFd.Grains.Emulation;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>The hardware of a bound device: in its first state until the first call that needs it, as a device is after a reset.</summary>
internal sealed class DeviceModel
{
    private EmulatedDevice? _hardware;

    public EmulatedDevice HardwareOf(DeviceDescription device) => _hardware ??= IommuDriver.Of(device).CreateDevice(device);
}
