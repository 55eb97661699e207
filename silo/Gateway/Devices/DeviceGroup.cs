using IommuFd.Devices.Vfio;

namespace IommuFd.Silo.Gateway.Devices;

/// <summary>A group of devices. Programs have either its own file open, or files of its devices that they have bound themselves. Thread-safe.</summary>
/// <param name="number">The N of <c>/dev/vfio/N</c>.</param>
/// <param name="devices">Its devices, and the N of the <c>vfioN</c> of each.</param>
internal sealed class DeviceGroup(int number, IReadOnlyList<(VfioDevice Device, int Number)> devices)
{
    private int _isOpen;

    public int Number => number;

    /// <summary>Whether its file is open, or that of a device which it has given.</summary>
    public bool IsOpen => Volatile.Read(ref _isOpen) != 0;

    /// <summary>Whether a device of it is bound.</summary>
    public bool IsOwned => devices.Any(member => member.Device.BoundId.Value != 0);

    /// <summary>Opens it, which one program may at a time, and only while nobody has bound a device of it.</summary>
    public bool TryOpen()
    {
        if (Interlocked.Exchange(ref _isOpen, 1) != 0)
        {
            return false;
        }

        if (!IsOwned)
        {
            return true;
        }

        Close();
        return false;
    }

    public void Close() => Volatile.Write(ref _isOpen, 0);

    /// <summary>The device at an address, and its number; null for none of the group.</summary>
    public (VfioDevice Device, int Number)? Find(string address)
        => devices.Where(member => member.Device.Address.ToString() == address).Select(member => ((VfioDevice, int)?)member).FirstOrDefault();
}
