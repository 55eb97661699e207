using System.Globalization;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;

namespace IommuFd.Silo.Gateway.Devices;

// Below the root, files have the paths that Linux gives them: programs read them as they would there, and symbolic links are relative. Their content is what the
// device was when the silo started.

/// <summary>What programs find devices by: files as in <c>/sys</c> and <c>/dev</c>.</summary>
/// <param name="root">The folder that stands for <c>/</c>.</param>
internal sealed class DeviceTree(string root)
{
    /// <summary>The major number of device files.</summary>
    public const int Major = 511;

    private const string Bus = "sys/bus/pci", Groups = "sys/kernel/iommu_groups", Driver = "vfio-pci";
    private const ulong FirstAddress = 0xE000_0000;
    private const int Resources = 13;

    private ulong _nextAddress = FirstAddress;

    /// <summary>Writes all that is to be found.</summary>
    /// <param name="devices">The devices; the place of each is the N of its <c>vfioN</c>.</param>
    /// <param name="withoutNode">Those that have no device file.</param>
    public void Write(IReadOnlyList<VfioDevice> devices, IReadOnlySet<VfioDevice> withoutNode)
    {
        Text("dev/vfio/vfio", "");
        var groups = Numbers(devices);
        for (var number = 0; number < devices.Count; number++)
        {
            Write(devices[number], number, groups[devices[number].Group]);
            if (!withoutNode.Contains(devices[number]))
            {
                Text($"dev/vfio/devices/vfio{number}", "");
            }
        }
    }

    /// <summary>The numbers of groups: a group whose name is one has that; the others have the lowest that are free.</summary>
    public static Dictionary<string, int> Numbers(IReadOnlyList<VfioDevice> devices)
    {
        var names = devices.Select(device => device.Group).Distinct().ToList();
        var numbers = names.Where(name => int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out _)).ToDictionary(name => name, name => int.Parse(name, CultureInfo.InvariantCulture));
        foreach (var name in names.Where(name => !numbers.ContainsKey(name)))
        {
            numbers[name] = Enumerable.Range(0, int.MaxValue).First(number => !numbers.ContainsValue(number));
        }

        return numbers;
    }

    private void Write(VfioDevice device, int number, int group)
    {
        var (bdf, config) = (device.Address.ToString(), device.Function.Config);
        var folder = $"sys/devices/pci{bdf[..4]}:00/{bdf}";
        Text($"{folder}/vendor", $"0x{config.Get16(PciRegister.VendorId):x4}\n");
        Text($"{folder}/device", $"0x{config.Get16(PciRegister.DeviceId):x4}\n");
        Text($"{folder}/subsystem_vendor", $"0x{config.Get16(PciRegister.SubsystemVendorId):x4}\n");
        Text($"{folder}/subsystem_device", $"0x{config.Get16(PciRegister.SubsystemId):x4}\n");
        Text($"{folder}/class", $"0x{device.Function.Identity.ClassCode:x6}\n");
        Text($"{folder}/revision", $"0x{device.Function.Identity.Revision:x2}\n");
        Text($"{folder}/irq", "0\n");
        Text($"{folder}/numa_node", "-1\n");
        Text($"{folder}/enable", "0\n");
        Text($"{folder}/driver_override", $"{Driver}\n");
        Text($"{folder}/resource", ResourcesOf(device.Function));
        Text($"{folder}/uevent", $"DRIVER={Driver}\nPCI_SLOT_NAME={bdf}\n");
        var bytes = new byte[ConfigSpace.Length];
        config.Read(0, bytes);
        File.WriteAllBytes(Make($"{folder}/config"), bytes);
        Text($"{folder}/vfio-dev/vfio{number}/dev", $"{Major}:{number}\n");
        Text($"{folder}/vfio-dev/vfio{number}/uevent", $"MAJOR={Major}\nMINOR={number}\nDEVNAME=vfio/devices/vfio{number}\n");
        Text($"dev/vfio/{group}", "");
        Text($"{Groups}/{group}/type", "DMA\n");
        Directory.CreateDirectory(Path.Combine(root, Bus, "drivers", Driver));
        Link($"{folder}/driver", $"{Bus}/drivers/{Driver}");
        Link($"{folder}/subsystem", Bus);
        Link($"{folder}/iommu_group", $"{Groups}/{group}");
        Link($"{folder}/vfio-dev/vfio{number}/device", folder);
        Link($"{Bus}/devices/{bdf}", folder);
        Link($"{Bus}/drivers/{Driver}/{bdf}", folder);
        Link($"{Groups}/{group}/devices/{bdf}", folder);
        Link($"sys/class/vfio-dev/vfio{number}", $"{folder}/vfio-dev/vfio{number}");
    }

    // First and last address and flags of each BAR; the other resources are none.
    private string ResourcesOf(PciFunction function)
    {
        const ulong Memory = 0x40200, Memory64 = 0x140204;
        var lines = Enumerable.Range(0, Resources).Select(index =>
        {
            if (index > 5 || function.Bar(index) is not { } bar)
            {
                return (0UL, 0UL, 0UL);
            }

            var start = (_nextAddress + (ulong)bar.Length - 1) & ~((ulong)bar.Length - 1);
            _nextAddress = start + (ulong)bar.Length;
            return (start, _nextAddress - 1, bar.Is64Bit ? Memory64 : Memory);
        });
        return string.Concat(lines.Select(line => $"0x{line.Item1:x16} 0x{line.Item2:x16} 0x{line.Item3:x16}\n"));
    }

    private void Text(string path, string text) => File.WriteAllText(Make(path), text);

    private string Make(string path)
    {
        var full = Path.Combine(root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        return full;
    }

    private void Link(string path, string to)
    {
        var full = Make(path);
        File.CreateSymbolicLink(full, Path.GetRelativePath(Path.GetDirectoryName(full)!, Path.Combine(root, to)));
    }
}
