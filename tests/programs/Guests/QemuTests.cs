using System.Security.Cryptography;
using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using IommuFd.TestSupport;
using Microsoft.Extensions.Hosting;
using Xunit;
using Xunit.Abstractions;

namespace IommuFd.ProgramTests.Guests;

/// <summary>Debian's QEMU, unmodified, gives a guest the emulated NVMe controller by vfio-pci and iommufd. What the guest does is in the file init.</summary>
public sealed class QemuTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const string Address = "0000:01:00.0";
    private const int DiskBytes = 16 << 20, PartBytes = 4 << 20;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-qemu-");
    private IHost? _host;

    private string Socket => Path.Combine(_folder.FullName, "gateway.sock");

    private string Disk => Path.Combine(_folder.FullName, "disk");

    public async Task InitializeAsync()
    {
        var content = new byte[DiskBytes];
        new Random(Seed.Of(output)).NextBytes(content);
        await File.WriteAllBytesAsync(Disk, content);
        var gateway = new GatewaySettings { Path = Socket };
        gateway.Devices.Add($"nvme,bdf={Address},file={Disk},size={DiskBytes}");
        _host = await SiloHost.StartInProcessAsync(gateway: gateway);
    }

    public async Task DisposeAsync()
    {
        await _host!.StopAsync();
        await ((IAsyncDisposable)_host).DisposeAsync();
        _folder.Delete(recursive: true);
    }

    [QemuFact]
    public async Task A_guest_reads_and_writes_the_disk()
    {
        var before = await File.ReadAllBytesAsync(Disk);

        var outcome = await Programs.RunAsync(
            [
                QemuFactAttribute.Qemu, "-accel", "tcg", "-m", "256", "-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none", "-serial", "stdio",
                "-kernel", QemuFactAttribute.GuestFile("vmlinuz"), "-initrd", QemuFactAttribute.GuestFile("initramfs"), "-append", "console=ttyS0 quiet panic=-1",
                "-object", "iommufd,id=iommufd0", "-device", $"vfio-pci,host={Address},iommufd=iommufd0",
            ],
            new() { ["IOMMUFD_SOCKET"] = Socket, ["LD_PRELOAD"] = Programs.Built("libiommufd-bridge.so") });

        var why = $"the guest has the disk, and reads and writes it: {outcome}";
        Assert.True(outcome.Status == 0, why);
        Assert.True(outcome.Output.Contains("guest: function 0x1234 0x10e0", StringComparison.Ordinal), why);
        Assert.True(outcome.Output.Contains($"guest: sectors {DiskBytes / 512}", StringComparison.Ordinal), why);
        Assert.True(outcome.Output.Contains($"guest: read {Convert.ToHexStringLower(SHA256.HashData(before.AsSpan(0, PartBytes)))}", StringComparison.Ordinal), why);
        Assert.True(outcome.Output.Contains("guest: written", StringComparison.Ordinal), why);
        var after = await File.ReadAllBytesAsync(Disk);
        before.AsSpan(0, PartBytes).CopyTo(before.AsSpan(PartBytes));
        Assert.True(before.AsSpan().SequenceEqual(after), why);
    }
}
