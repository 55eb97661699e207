using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using Microsoft.Playwright;

namespace IommuFd.BrowserTests;

// One Chromium for all tests, a fresh profile for each page. Debian's Chromium is driven; Playwright's own can't be downloaded everywhere.

/// <summary>Chromium without a window.</summary>
public sealed class Browser : IAsyncLifetime
{
    private static readonly string[] Arguments =
    [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    ];

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    public async Task InitializeAsync()
    {
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = Environment.GetEnvironmentVariable("CHROMIUM") ?? "/usr/bin/chromium", Args = Arguments });
    }

    public async Task DisposeAsync()
    {
        await _browser!.DisposeAsync();
        _playwright!.Dispose();
    }

    /// <summary>Opens an empty page that notes what goes wrong in it.</summary>
    public async Task<Tab> OpenAsync(int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Light, bool script = true, float scale = 1)
    {
        var context = await _browser!.NewContextAsync(new() { ViewportSize = new() { Width = width, Height = height }, ColorScheme = scheme, JavaScriptEnabled = script, DeviceScaleFactor = scale });
        context.SetDefaultTimeout((float)TimeSpan.FromSeconds(20).TotalMilliseconds);
        return new Tab(context, await context.NewPageAsync());
    }
}

/// <summary>A page in the browser. Disposed, it fails where its console has an error.</summary>
public sealed class Tab : IAsyncDisposable
{
    private readonly IBrowserContext _context;
    private readonly List<string> _errors = [];

    public Tab(IBrowserContext context, IPage page)
    {
        (_context, Page) = (context, page);
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning")
            {
                _errors.Add($"{message.Text} ({message.Location})");
            }
        };
        page.PageError += (_, error) => _errors.Add(error);
    }

    public IPage Page { get; }

    /// <summary>Whether its console may have errors: where a silo is taken away, the browser says so.</summary>
    public bool MayFail { get; set; }

    /// <summary>Goes to a page and waits until it is alive.</summary>
    public async Task<Tab> GoAsync(string url, string ready)
    {
        await Page.GotoAsync(url, new() { WaitUntil = WaitUntilState.DOMContentLoaded });
        await Page.Locator(ready).First.WaitForAsync();
        return this;
    }

    public ILocator Find(string selector) => Page.Locator(selector);

    /// <summary>The text of an element that tests find by its name.</summary>
    public Task<string> TextAsync(string test) => Page.Locator($"[data-test={test}]").First.InnerTextAsync();

    /// <summary>Fails where the checker for accessibility finds anything serious, or the page is wider than the window.</summary>
    public async Task CheckAsync()
    {
        var found = await Page.RunAxe(new AxeRunOptions { ResultTypes = [ResultType.Violations] });
        var serious = found.Violations.Where(violation => violation.Impact is "critical" or "serious").ToList();
        Assert.True(serious.Count == 0, string.Join('\n', serious.Select(violation => $"{violation.Id}: {violation.Help}: {string.Join(" | ", violation.Nodes.Take(4).Select(node => node.Html))}")));
        var (content, window) = (await Page.EvaluateAsync<int>("document.documentElement.scrollWidth"), await Page.EvaluateAsync<int>("document.documentElement.clientWidth"));
        Assert.True(content <= window, $"the page is {content} pixels wide, the window {window}");
    }

    public async ValueTask DisposeAsync()
    {
        await _context.DisposeAsync();
        Assert.True(MayFail || _errors.Count == 0, string.Join('\n', _errors));
    }
}

/// <summary>The tests that share the browser.</summary>
[CollectionDefinition(Name)]
public sealed class BrowserCollection : ICollectionFixture<Browser>
{
    public const string Name = "browser";
}
