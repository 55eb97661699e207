using System.ComponentModel.DataAnnotations;
using System.Globalization;
using IommuFd.Devices.DmaTest;
using IommuFd.Devices.Nvme;
using IommuFd.Devices.Pci;
using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Gateway.Devices;

/// <summary>A device that a silo is to emulate, as people write it: <c>KIND[,bdf=..][,group=..][,iommu=..][,width=..][,pasids=..][,file=..][,size=..][,node=missing]</c>.</summary>
internal sealed class DeviceSpec
{
    private const string DmaTest = "dma-test", Nvme = "nvme";
    private const ulong DefaultBytes = 64 << 20;
    private const int LeastWidth = 32, MostWidth = 64;
    private static readonly string[] Keys = ["bdf", "group", "iommu", "width", "pasids", "file", "size", "node"];

    private readonly string _text;
    private readonly string _kind;
    private readonly Dictionary<string, string> _values = [];

    /// <summary>Reads a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="number">Which device it is, from 1: its bus, where the text says none.</param>
    /// <exception cref="ValidationException">It is no device.</exception>
    public DeviceSpec(string text, int number)
    {
        _text = text;
        var parts = text.Split(',');
        _kind = parts[0] is DmaTest or Nvme ? parts[0] : throw Wrong($"the kinds are {DmaTest} and {Nvme}");
        foreach (var part in parts[1..])
        {
            var pair = part.Split('=', 2);
            if (pair.Length != 2 || !Keys.Contains(pair[0]) || !_values.TryAdd(pair[0], pair[1]))
            {
                throw Wrong($"'{part}' is not one of {string.Join("=, ", Keys)}=, or is there twice");
            }
        }

        if (_kind != Nvme && (_values.ContainsKey("file") || _values.ContainsKey("size")))
        {
            throw Wrong($"only {Nvme} has a file or a size");
        }

        HasNode = _values.GetValueOrDefault("node") switch
        {
            null => true,
            "missing" => false,
            var node => throw Wrong($"a node is missing or as it should be, without node=, and not '{node}'"),
        };
        Address = !_values.TryGetValue("bdf", out var bdf) ? new PciAddress(0, checked((byte)number), 0, 0)
            : PciAddress.TryParse(bdf, out var address) ? address : throw Wrong($"'{bdf}' is no address as 0000:01:00.0");
        Description = new DeviceDescription
        {
            Name = Address.ToString(),
            Group = _values.GetValueOrDefault("group"),
            Iommu = _values.GetValueOrDefault("iommu", DeviceDescription.PciIommu) is DeviceDescription.PciIommu or DeviceDescription.VirtualIommu or DeviceDescription.SelftestIommu
                ? _values.GetValueOrDefault("iommu", DeviceDescription.PciIommu) : throw Wrong($"an iommu is {DeviceDescription.PciIommu}, {DeviceDescription.VirtualIommu} or {DeviceDescription.SelftestIommu}"),
            PasidWidth = Number("pasids", 0, 0, DeviceDescription.MaxPasidWidth),
            ReservedRegions = Number("width", MostWidth, LeastWidth, MostWidth) is var width && width < MostWidth ? [new IovaRange(1UL << width, ulong.MaxValue)] : [],
        };
    }

    /// <summary>Where it is.</summary>
    public PciAddress Address { get; }

    /// <summary>Whether it has files in <c>/dev</c>. Without, programs find it in sysfs and can't open it, as where udev has made no node.</summary>
    public bool HasNode { get; }

    /// <summary>Its IOMMU and group.</summary>
    public DeviceDescription Description { get; }

    /// <summary>Makes the device.</summary>
    /// <exception cref="ValidationException">Its file can't be opened.</exception>
    public PciFunction Create(IBarMemoryFactory memory)
    {
        if (_kind == DmaTest)
        {
            return new DmaTestFunction(memory);
        }

        var blocks = Bytes() / INvmeNamespace.BlockBytes;
        try
        {
            return new NvmeFunction(_values.TryGetValue("file", out var file) ? new FileNamespace(file, blocks) : new MemoryNamespace(blocks), memory: memory);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw Wrong(exception.Message);
        }
    }

    private int Number(string key, int missing, int least, int most)
        => !_values.TryGetValue(key, out var text) ? missing
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most ? number
            : throw Wrong($"{key} is a number from {least} to {most}");

    // 512M: a number, and what it is multiplied by.
    private ulong Bytes()
    {
        if (!_values.TryGetValue("size", out var text))
        {
            return DefaultBytes;
        }

        return ByteSize.TryParse(text, out var bytes) && bytes >= (ulong)INvmeNamespace.BlockBytes && bytes % (ulong)INvmeNamespace.BlockBytes == 0
            ? bytes : throw Wrong($"a size is a multiple of {INvmeNamespace.BlockBytes} bytes, up to 4096G, as 512M");
    }

    private ValidationException Wrong(string why) => new($"'{_text}' is no device: {why}.");
}
