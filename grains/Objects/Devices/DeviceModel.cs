using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Iommus;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

/// <summary>The hardware of a bound device: in its first state until the first call that needs it, as a device is after a reset.</summary>
internal sealed class DeviceModel
{
    private DeviceDescription? _device;
    private EmulatedDevice? _hardware;

    /// <summary>The hardware, of a model that is built.</summary>
    public EmulatedDevice Hardware => _hardware!;

    /// <summary>What its IOMMU says the device can do.</summary>
    public IommuHwCapabilities Capabilities => IommuDriver.Of(_device!).Capabilities(_device!);

    /// <summary>Builds the hardware where it is not built yet; false where the device is not known.</summary>
    public bool TryBuild(DeviceDescription? device)
    {
        if (_hardware is null && device is not null)
        {
            (_device, _hardware) = (device, IommuDriver.Of(device).CreateDevice(device));
        }

        return _hardware is not null;
    }

    /// <summary>Saves the hardware.</summary>
    public DeviceSnapshot Save()
        => _hardware?.Save() is { } state ? new DeviceSnapshot { Device = _device, Hardware = state } : new DeviceSnapshot();

    /// <summary>Restores it.</summary>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static DeviceModel Restore(DeviceSnapshot snapshot)
    {
        var model = new DeviceModel();
        if (snapshot.Hardware is not null)
        {
            SnapshotFormat.Require(snapshot.Device is { } device && device.IsSound() && IommuDriver.Find(device.Iommu) is not null, "The saved hardware belongs to no valid device.");
            model.TryBuild(snapshot.Device);
            model.Hardware.Load(snapshot.Hardware);
        }

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
