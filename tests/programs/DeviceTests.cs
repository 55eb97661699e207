using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using Microsoft.Extensions.Hosting;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>C programs that use emulated devices by their VFIO device files: tests/bridge/vfio.c, nvme.c, groups.c and dmabuf.c say what they expect.</summary>
public sealed class DeviceTests : IAsyncLifetime
{
    // What the test programs look for.
    private static readonly string[] Devices =
    [
        "dma-test,bdf=0000:01:00.0", "nvme,bdf=0000:02:00.0", "dma-test,bdf=0000:03:00.0,group=7", "dma-test,bdf=0000:03:00.1,group=7",
    ];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-devices-");
    private IHost? _host;

    private string Socket => Path.Combine(_folder.FullName, "gateway.sock");

    public async Task InitializeAsync()
    {
        var gateway = new GatewaySettings { Path = Socket };
        gateway.Devices.AddRange(Devices);
        _host = await SiloHost.StartInProcessAsync(gateway: gateway);
    }

    public async Task DisposeAsync()
    {
        await _host!.StopAsync();
        await ((IAsyncDisposable)_host).DisposeAsync();
        Assert.Empty(_folder.GetFileSystemInfos("*-sys"));
        _folder.Delete(recursive: true);
    }

    [Theory]
    [InlineData("vfio")]
    [InlineData("nvme")]
    [InlineData("groups")]
    [InlineData("dmabuf")]
    public async Task A_test_program_finds_what_it_expects(string name)
    {
        var outcome = await Programs.RunBridgedAsync(Socket, Programs.Built($"test-{name}"));

        Assert.True(outcome.Status == 0, $"tests/bridge/{name}.c: {outcome}");
    }

    [Theory]
    [InlineData("vfio")]
    [InlineData("nvme")]
    [InlineData("groups")]
    [InlineData("dmabuf")]
    public async Task A_static_test_program_finds_what_it_expects(string name)
    {
        var outcome = await Programs.RunSupervisedAsync(Socket, [Programs.Built($"test-{name}-static")]);

        Assert.True(outcome.Status == 0, $"tests/bridge/{name}.c, built statically: {outcome}");
    }

    [Fact]
    public async Task A_program_gets_devices_of_its_own()
    {
        var outcome = await Programs.RunCommandAsync(null, "--device", "nvme,bdf=0000:05:00.0,size=1M", "--", "cat", "/sys/bus/pci/devices/0000:05:00.0/class");

        Assert.True(outcome is { Status: 0, Output: "0x010802\n" }, $"the class of an nvme device is read: {outcome}");
    }

    [Fact]
    public async Task A_program_inherits_the_file_of_a_device()
    {
        var outcome = await Programs.RunCommandAsync(null, "--device", "dma-test", "--device-fd", "5=vfio0", "--", "stat", "-L", "-c", "%F %t:%T", "/proc/self/fd/5");

        Assert.True(outcome.Status == 0, $"descriptor 5 is open in the program: {outcome}");
    }

    [Fact]
    public async Task A_trace_names_device_files_and_their_ioctls()
    {
        var outcome = await Programs.RunCommandAsync(Socket, "--trace", "--", Programs.Built("test-vfio"));

        Assert.True(outcome.Status == 0, $"tests/bridge/vfio.c with a trace: {outcome}");
        Assert.Matches(@"open\(/dev/vfio/devices/vfio0\) = \d+ ", outcome.Errors);
        Assert.Matches(@"ioctl\(\d+, VFIO_DEVICE_BIND_IOMMUFD, \{[0-9a-f]+\}\) = 0 ", outcome.Errors);
        Assert.Matches(@"ioctl\(\d+, VFIO_DEVICE_GET_REGION_INFO, ", outcome.Errors);
        Assert.DoesNotContain("VFIO_IOMMU_", outcome.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("teapot", "the kinds are dma-test and nvme")]
    [InlineData("nvme,size=100", "a size is a multiple of 512 bytes")]
    [InlineData("nvme,file=/nowhere/disk", "/nowhere/disk")]
    [InlineData("dma-test,file=disk", "only nvme has a file")]
    [InlineData("dma-test,bdf=1:2", "'1:2' is no address")]
    [InlineData("dma-test,width=64000", "width is a number from 32 to 64")]
    [InlineData("dma-test,teapot=1", "'teapot=1' is not one of")]
    public async Task A_device_that_can_not_be_made_is_refused_with_the_reason(string device, string reason)
    {
        var outcome = await Programs.RunCommandAsync(null, "--device", device, "--", "true");

        Assert.True(outcome.Status == 125 && outcome.Errors.Contains(reason, StringComparison.Ordinal), $"--device {device} is refused because {reason}: {outcome}");
    }
}
