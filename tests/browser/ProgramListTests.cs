using System.Diagnostics;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway;
using IommuFd.Uapi;

namespace IommuFd.BrowserTests;

/// <summary>Programs are shown with the contexts of which they have descriptors.</summary>
[Collection(BrowserCollection.Name)]
public sealed class ProgramListTests(Browser browser) : IAsyncLifetime
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("iommufd-browser-");
    private DashboardSilo _silo = null!;

    private string Socket => Path.Combine(_folder.FullName, "gateway.sock");

    public async Task InitializeAsync() => _silo = await DashboardSilo.StartAsync(gateway: new GatewaySettings { Path = Socket });

    public async Task DisposeAsync()
    {
        await _silo.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_context_has_its_programs_for_as_long_as_they_have_it()
    {
        await using var tab = await browser.OpenAsync();
        using var program = Start("test-openers");
        var ids = (await program.StandardOutput.ReadLineAsync())!.Split(' ')[1..];

        await tab.GoAsync(_silo.Url("/contexts"), "[data-test=list]");
        await tab.Find($"[data-test=list] td[data-label=Programs]:has-text('test-openers[{ids[0]}]: 2, child[1m[{ids[1]}]: 1')").WaitForAsync();
        await tab.Find("[data-test=list] tbody th a").ClickAsync();
        await tab.Find($"[data-test=programs] tr:has-text('test-openers'):has-text('{ids[0]}')").WaitForAsync();
        await tab.Find($"[data-test=programs] tr:has-text('child[1m'):has-text('{ids[1]}')").WaitForAsync();

        // The child closes its descriptor, and lives on.
        await program.StandardInput.WriteLineAsync();
        await program.StandardInput.FlushAsync();
        await tab.Find($"[data-test=programs] tr:has-text('{ids[1]}')").WaitForAsync(new() { State = Microsoft.Playwright.WaitForSelectorState.Detached });
        program.StandardInput.Close();
        await program.WaitForExitAsync();
        Assert.Equal(0, program.ExitCode);
        await tab.Find("[data-test=gone]").First.WaitForAsync();
    }

    [Fact]
    public async Task A_context_of_the_SDK_alone_has_no_programs()
    {
        await using var context = await _silo.Client.OpenAsync("vmm");
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url("/contexts"), "[data-test=list]");
        Assert.Equal("–", await tab.Find("[data-test=list] td[data-label=Programs]").InnerTextAsync());
    }

    [Fact]
    public async Task A_context_has_the_DMA_that_was_refused_to_its_devices()
    {
        await using var context = await _silo.Client.OpenAsync("vmm");
        await using var driver = await _silo.Client.GetDriverAsync(context.Handle, "vfio-pci");
        var ioas = await context.AllocateIoasAsync();
        await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "0000:01:00.0" });
        await device.AttachAsync(ioas);
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url($"/contexts/{context.Handle.Key.Tag}"), "[data-test=tail]");
        Assert.Equal(0, await tab.Find("[data-test=faults]").CountAsync());

        Assert.Equal(Errno.ENOENT, (await device.TranslateAsync(new[] { new DmaRange(0x1000_0000, 64) }, write: true)).Errno);
        var row = tab.Find("[data-test=faults] tbody tr");
        await row.WaitForAsync();
        Assert.Equal($"0000:01:00.0 (device {device.Id})", await row.Locator("td[data-label=Device]").InnerTextAsync());
        Assert.Equal("write 0x10000000+64", await row.Locator("td[data-label=Access]").InnerTextAsync());
        Assert.Matches($"^ENOENT, refused\\s+0x10000000 is not mapped in IOAS {ioas}, the IOAS has no area; map memory at the IOVA", await row.Locator("td[data-label=Answer]").InnerTextAsync());
    }

    private Process Start(string name)
    {
        var built = Path.GetFullPath("../../../bridge", AppContext.BaseDirectory);
        var start = new ProcessStartInfo(Path.Combine(built, name)) { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.Environment["IOMMUFD_SOCKET"] = Socket;
        start.Environment["LD_PRELOAD"] = Path.Combine(built, "libiommufd-bridge.so");
        return Process.Start(start)!;
    }
}
