using System.Text.Json;
using System.Text.RegularExpressions;
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

    [Theory]
    [InlineData("vfio")]
    [InlineData("nvme")]
    [InlineData("groups")]
    [InlineData("dmabuf")]
    public async Task Sanitizers_find_nothing(string name)
    {
        var library = await Programs.RunSanitizedAsync(Socket, Programs.Built($"test-{name}"));
        var supervisor = await Programs.RunSanitizedSupervisorAsync(Socket, Programs.Built($"test-{name}-static"));

        Assert.True(library.Status == 0, $"tests/bridge/{name}.c with sanitizers: {library}");
        Assert.True(supervisor.Status == 0, $"tests/bridge/{name}.c, built statically, under a supervisor with sanitizers: {supervisor}");
    }

    [Fact]
    public async Task A_program_gets_devices_of_its_own()
    {
        var outcome = await Programs.RunCommandAsync(null, "--device", "nvme,bdf=0000:05:00.0,size=1M", "--", "cat", "/sys/bus/pci/devices/0000:05:00.0/class");

        Assert.True(outcome is { Status: 0, Output: "0x010802\n" }, $"the class of an nvme device is read: {outcome}");
    }

    [Fact]
    public async Task A_device_without_a_node_is_found_and_can_t_be_opened()
    {
        const string Script = "ls /sys/bus/pci/devices/0000:01:00.0/vfio-dev; ls /dev/vfio; cat /dev/vfio/devices/vfio0; (: <> /dev/vfio/0) && echo group 0; stat -c %t:%T /dev/vfio/devices/vfio1";
        var outcome = await Programs.RunCommandAsync(null, "--device", "dma-test,node=missing", "--device", "dma-test", "--", "sh", "-c", Script);

        Assert.True(outcome.Output == "vfio0\n0\n1\ndevices\nvfio\ngroup 0\n1ff:1\n", $"all is there but the file of the first device: {outcome}");
        Assert.Contains("cat: /dev/vfio/devices/vfio0: No such file or directory", outcome.Errors, StringComparison.Ordinal);
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
        Assert.Matches(@"ioctl\(\d+, VFIO_DEVICE_RESET\) = 0 <", outcome.Errors);
        Assert.DoesNotContain("VFIO_IOMMU_", outcome.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_trace_shows_refused_DMA_between_the_calls_that_it_came_between()
    {
        var outcome = await Programs.RunCommandAsync(Socket, "--trace", "--", Programs.Built("test-vfio"));

        // FILL after munmap, after IOAS_UNMAP, and after DETACH.
        Assert.True(outcome.Status == 0, $"tests/bridge/vfio.c with a trace: {outcome}");
        Assert.Matches(
            @"--- DMA fault 0000:01:00\.0 \(device \d+\) write 0x40010FA0\+200: EFAULT, refused: 0x40010FA0 is mapped, but the memory behind it is gone: its program has unmapped it, or has ended ---\n"
            + @"[\s\S]*IOMMU_IOAS_UNMAP[\s\S]*\n--- DMA fault 0000:01:00\.0 \(device \d+\) write 0x40000000\+4096: ENOENT, refused: 0x40000000 is not mapped in IOAS \d+, the IOAS has no area ---\n"
            + @"[\s\S]*VFIO_DEVICE_DETACH_IOMMUFD_PT[\s\S]*\n--- DMA fault 0000:01:00\.0 \(device \d+\) write 0x40000000\+4096: EINVAL, refused: device \d+ is not attached ---\n"
            + @"[\s\S]*VFIO_DEVICE_RESET", outcome.Errors);
        Assert.Equal(3, Regex.Count(outcome.Errors, "--- DMA fault "));
    }

    [Fact]
    public async Task A_trace_in_JSON_has_refused_DMA_as_objects()
    {
        var file = Path.Combine(_folder.FullName, "trace");
        var outcome = await Programs.RunCommandAsync(Socket, "--json", "-o", file, "--", Programs.Built("test-vfio"));

        Assert.True(outcome.Status == 0, $"tests/bridge/vfio.c with a trace: {outcome}");
        var fault = (await File.ReadAllLinesAsync(file)).Select(line => JsonDocument.Parse(line).RootElement).Where(call => call.GetProperty("call").GetString() == "dmaFault").ElementAt(1);
        Assert.Equal(
            ("0000:01:00.0", "write", 0x40000000UL, 4096, "ENOENT", true),
            (fault.GetProperty("device").GetString(), fault.GetProperty("access").GetString(), fault.GetProperty("iova").GetUInt64(), fault.GetProperty("length").GetInt32(),
                fault.GetProperty("errno").GetString(), fault.GetProperty("refused").GetBoolean()));
    }

    [Fact]
    public async Task Refused_DMA_is_listed_after_its_program_has_ended()
    {
        Assert.Equal(0, (await Programs.RunBridgedAsync(Socket, Programs.Built("test-vfio"))).Status);
        var text = await FaultsAsync();
        var lines = text.Output.TrimEnd().Split('\n')[2..];

        Assert.Matches(
            @"^\d\d:\d\d:\d\d\.\d{6} test-vfio\[\d+\] [0-9a-f]{16}: 0000:01:00\.0 \(device \d+\) write 0x40000000\+4096: ENOENT, refused: 0x40000000 is not mapped in IOAS \d+, the IOAS has no area$", lines[0]);
        Assert.Equal("    map memory at the IOVA (IOMMU_IOAS_MAP) before the device is told of it, in the IOAS that the device is attached to", lines[1]);
        Assert.Matches(@": EINVAL, refused: device \d+ is not attached$", lines[2]);
        Assert.StartsWith("    attach the device before it is used", lines[3], StringComparison.Ordinal);
        Assert.Equal(4, lines.Length);

        var json = await FaultsAsync("--json", lines[0].Split(' ')[2].TrimEnd(':'), "-n", "1");
        Assert.Equal("EINVAL", JsonDocument.Parse(json.Output).RootElement.GetProperty("errno").GetString());
        Assert.StartsWith("No DMA was refused", (await FaultsAsync("0123456789abcdef")).Output, StringComparison.Ordinal);
        Assert.Contains("is neither a context's tag", (await FaultsAsync("teapot")).Errors, StringComparison.Ordinal);
    }

    private Task<Outcome> FaultsAsync(params string[] arguments) => Programs.RunAsync([.. Programs.Command[..^1], "faults", "--socket", Socket, .. arguments], []);

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
