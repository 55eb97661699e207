using IommuFd.Client;
using IommuFd.GrainInterfaces;
using Microsoft.Playwright;

namespace IommuFd.BrowserTests;

// The pictures of the README are of a silo at work, made by this test: `make screenshots` names the folder that they go to. Without one they are made all
// the same, and thrown away.

/// <summary>Pictures of the pages, of a silo at work.</summary>
[Collection(BrowserCollection.Name)]
public sealed class Screenshots(Browser browser)
{
    private const string FolderVariable = "IOMMUFD_SCREENSHOTS";

    private static readonly string[] Openers = ["qemu-guest", "cloud-hypervisor", "dpdk-testpmd", "spdk-target", "device-plugin"];

    [Fact]
    public async Task Each_page_is_pictured_while_the_silo_works()
    {
        var folder = Environment.GetEnvironmentVariable(FolderVariable);
        await using var silo = await DashboardSilo.StartAsync(contexts: new() { Lease = TimeSpan.FromMinutes(5) });
        await using var made = await Scenario.OpenAsync(silo.Client);
        var contexts = new List<IommuContext>();
        for (var i = 0; i < 140; i++)
        {
            contexts.Add(await silo.Client.OpenAsync($"{Openers[i % Openers.Length]}-{i}"));
            for (var objects = 0; objects <= i % 4; objects++)
            {
                await contexts[i].AllocateIoasAsync();
            }
        }

        using var stop = new CancellationTokenSource();
        var work = WorkAsync(contexts, made, stop.Token);
        await using var tab = await browser.OpenAsync(scale: folder is null ? 1 : 1.5f);
        await tab.GoAsync(silo.Url("/"), "[data-test=contexts]");
        if (folder is not null)
        {
            // So that the charts have something to show.
            await Task.Delay(TimeSpan.FromSeconds(75));
        }

        var tag = made.Context.Handle.Key.Tag;
        (string Name, string Path, string Ready, int Width, ColorScheme Scheme)[] pictures =
        [
            ("overview", "/", "[data-test=errno-count]", 1280, ColorScheme.Light),
            ("context", $"/contexts/{tag}", "[data-test=tail] td", 1280, ColorScheme.Light),
            ("why", $"/contexts/{tag}/why/{made.Guest}", "[data-test=steps]", 1280, ColorScheme.Dark),
            ("contexts", "/contexts?by=objects&down=True", "[data-test=list] td", 1280, ColorScheme.Light),
            ("overview-dark", "/", "[data-test=errno-count]", 1280, ColorScheme.Dark),
            ("context-dark", $"/contexts/{tag}?object={made.Hwpt}", "[data-test=tail] td", 1280, ColorScheme.Dark),
            ("overview-phone", "/", "[data-test=errno-count]", 360, ColorScheme.Light),
            ("contexts-phone", "/contexts", "[data-test=list] td", 360, ColorScheme.Dark),
            ("context-phone", $"/contexts/{tag}", "[data-test=tail] td", 360, ColorScheme.Light),
            ("orleans", "/orleans/", "text=Active Silos", 1280, ColorScheme.Light),
            ("sign-in", "/sign-in", "input[name=token]", 1280, ColorScheme.Light),
        ];
        foreach (var (name, path, ready, width, scheme) in pictures)
        {
            await tab.Page.SetViewportSizeAsync(width, 900);
            await tab.Page.EmulateMediaAsync(new() { ColorScheme = scheme });
            await tab.GoAsync(silo.Url(path), ready);
            var picture = await tab.Page.ScreenshotAsync(new() { FullPage = name != "context" && !name.EndsWith("phone", StringComparison.Ordinal), Path = folder is null ? null : Path.Combine(folder, $"{name}.png") });
            Assert.True(picture.Length > 10_000, $"{name} is an empty picture");
        }

        await stop.CancelAsync();
        await work;
    }

    /// <summary>Programs at work: most of what they ask is answered, some of it is not.</summary>
    private static async Task WorkAsync(List<IommuContext> contexts, Scenario made, CancellationToken stop)
    {
        var memory = DmaMemory.Allocate(16 * 4096);
        using var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        for (var round = 0; !stop.IsCancellationRequested; round++)
        {
            var busy = contexts[round % contexts.Count];
            for (var i = 0; i < 12 + (int)(10 * Math.Sin(round / 150.0)); i++)
            {
                var ioas = await busy.AllocateIoasAsync(CancellationToken.None);
                var iova = await busy.MapAsync(ioas, memory, cancellationToken: CancellationToken.None);
                await busy.UnmapAsync(ioas, new IovaRange(iova.Value, iova.Value + (16 * 4096) - 1), CancellationToken.None);
                await busy.DestroyAsync(ioas, CancellationToken.None);
            }

            if (round % 5 == 0)
            {
                await TryAsync(() => made.Context.DestroyAsync(made.Guest, CancellationToken.None));
                var iova = await made.Context.MapAsync(made.Spare, memory, cancellationToken: CancellationToken.None);
                await made.Context.UnmapAsync(made.Spare, new IovaRange(iova.Value, iova.Value + (16 * 4096) - 1), CancellationToken.None);
            }

            if (round % 11 == 0)
            {
                await TryAsync(() => busy.DestroyAsync(new ObjectId(999), CancellationToken.None));
            }

            await pace.WaitForNextTickAsync(CancellationToken.None);
        }
    }

    private static async Task TryAsync(Func<ValueTask> refused)
    {
        try
        {
            await refused();
        }
        catch (IommufdException)
        {
            // As meant.
        }
    }
}
