using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>The hardware of a bound device: at first as a device is after a reset.</summary>
internal sealed class DeviceModel(DeviceDescription device)
{
    public EmulatedDevice Hardware { get; } = IommuDriver.Of(device).CreateDevice(device);

    /// <summary>What its IOMMU says the device can do.</summary>
    public IommuHwCapabilities Capabilities => IommuDriver.Of(device).Capabilities(device);

    /// <summary>Saves the hardware.</summary>
    public DeviceSnapshot Save() => Hardware.Save() is { } state ? new DeviceSnapshot { Device = device, Hardware = state } : new DeviceSnapshot();

    /// <summary>Restores it.</summary>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static DeviceModel Restore(DeviceSnapshot snapshot)
    {
        SnapshotFormat.Require(
            snapshot is { Hardware: not null, Device: { } device } && device.IsSound() && IommuDriver.Find(device.Iommu) is not null, "The saved hardware belongs to no valid device.");
        var model = new DeviceModel(snapshot.Device!);
        model.Hardware.Load(snapshot.Hardware!);
        return model;
    }
}

/// <summary>The saved hardware of a device.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.DeviceSnapshot")]
internal sealed record DeviceSnapshot : ObjectSnapshot
{
    /// <summary>The device; null where its hardware is in its first state.</summary>
    [Id(0)]
    public DeviceDescription? Device { get; init; }

    /// <summary>The state; null for the first.</summary>
    [Id(1)]
    public HardwareSnapshot? Hardware { get; init; }

    public override bool IsFirstState => Hardware is null;
}
