using System.ComponentModel.DataAnnotations;
using System.Globalization;
using IommuFd.Devices.Vfio;

namespace IommuFd.Silo.Gateway.Devices;

/// <summary>The devices that a silo emulates for programs: the section <c>Gateway:Devices</c>. They end with the silo.</summary>
internal sealed class GatewayDevices : IDisposable
{
    /// <summary>What is appended to the socket's path where programs find devices.</summary>
    public const string TreeSuffix = "-sys";

    private const string NamePrefix = "vfio", Bars = "bars";
    private const int MaxDevices = 64;

    private readonly VfioMachine _machine = new();
    private readonly List<VfioDevice> _devices = [];
    private readonly List<DeviceGroup> _groups = [];
    private readonly string? _root;

    /// <summary>Makes the devices, and the files by which programs find them.</summary>
    /// <exception cref="ValidationException">A device can't be made.</exception>
    public GatewayDevices(GatewaySettings settings)
    {
        if (!settings.HasSocket)
        {
            return;
        }

        var root = Path.GetFullPath(settings.Path!) + TreeSuffix;
        if (Directory.Exists(root))
        {
            // Of a silo that was killed.
            Directory.Delete(root, recursive: true);
        }

        if (settings.Devices.Count == 0)
        {
            return;
        }

        if (settings.Devices.Count > MaxDevices)
        {
            throw new ValidationException($"{GatewaySettings.Section}:{nameof(settings.Devices)} has {settings.Devices.Count} devices; there may be {MaxDevices}.");
        }

        _root = root;
        PrivateFile.CreateFolder(root);
        PrivateFile.CreateFolder(Path.Combine(root, Bars));
        var memory = new FileBarMemory(Path.Combine(root, Bars));
        var withoutNode = new HashSet<VfioDevice>();
        foreach (var text in settings.Devices)
        {
            var spec = new DeviceSpec(text, _devices.Count + 1);
            if (_machine.Find(spec.Address) is not null)
            {
                throw new ValidationException($"'{text}' is no device: there is one at {spec.Address}.");
            }

            _devices.Add(_machine.Add(spec.Address, spec.Create(memory), spec.Description));
            if (!spec.HasNode)
            {
                withoutNode.Add(_devices[^1]);
            }
        }

        var members = _devices.Select((device, number) => (Device: device, Number: number)).ToLookup(member => member.Device.Group);
        _groups.AddRange(DeviceTree.Numbers(_devices).Select(group => new DeviceGroup(group.Value, [.. members[group.Key]])));
        new DeviceTree(root).Write(_devices, withoutNode);
    }

    /// <summary>The devices; the place of each is the N of its <c>vfioN</c>.</summary>
    public IReadOnlyList<VfioDevice> All => _devices;

    /// <summary>The device of a name, <c>vfioN</c>, and its number; null for none.</summary>
    public (VfioDevice Device, int Number)? Find(string name)
        => name.StartsWith(NamePrefix, StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(NamePrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < _devices.Count
            && name.Length == NamePrefix.Length + number.ToString(CultureInfo.InvariantCulture).Length
            ? (_devices[number], number) : null;

    /// <summary>The group of a number, as <c>/dev/vfio/N</c> has it; null for none.</summary>
    public DeviceGroup? FindGroup(string number) => _groups.Find(group => group.Number.ToString(CultureInfo.InvariantCulture) == number);

    /// <summary>The group of a device.</summary>
    public DeviceGroup GroupOf(VfioDevice device) => _groups.Find(group => group.Find(device.Address.ToString()) is not null)!;

    public void Dispose()
    {
        foreach (var device in _devices)
        {
            device.Function.Dispose();
        }

        if (_root is not null)
        {
            Directory.Delete(_root, recursive: true);
        }
    }
}
