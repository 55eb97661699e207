using Microsoft.Playwright;

namespace IommuFd.BrowserTests;

/// <summary>Every page can be used by everybody: wide and narrow, light and dark, by keyboard, and by a checker for accessibility.</summary>
[Collection(BrowserCollection.Name)]
public sealed class LooksTests(Browser browser, SharedSilo shared) : IClassFixture<SharedSilo>
{
    private const int Phone = 360;

    private readonly DashboardSilo _silo = shared.Silo;

    [Theory]
    [InlineData(1280, ColorScheme.Light)]
    [InlineData(Phone, ColorScheme.Dark)]
    public async Task No_page_has_a_serious_finding_or_is_wider_than_the_window(int width, ColorScheme scheme)
    {
        await using var made = await Scenario.OpenAsync(_silo.Client);
        var tag = made.Context.Handle.Key.Tag;
        await using var tab = await browser.OpenAsync(width, scheme: scheme);
        foreach (var (path, ready) in ((string, string)[])
            [
                .. Pages.Of(made).Select(path => (path, Pages.Ready)),

                // What else a page can have to say.
                ("/contexts?q=nothing-like-it", "text=No context matches"), ($"/contexts/{tag}", "[data-test=tail] td"), ("/contexts/0123456789abcdef", "[data-test=gone]"),
            ])
        {
            await tab.GoAsync(_silo.Url(path), ready);
            await tab.CheckAsync();
        }

        Assert.Equal(scheme == ColorScheme.Dark, await tab.Page.EvaluateAsync<bool>("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every(part => part < 64)"));
    }

    [Fact]
    public async Task Everything_is_reached_by_keyboard()
    {
        await using var made = await Scenario.OpenAsync(_silo.Client, "by-keyboard");
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url("/"), "[data-test=contexts]");
        await TabToAsync(tab, "document.activeElement.textContent === 'Contexts'");
        await tab.Page.Keyboard.PressAsync("Enter");
        await tab.Find("[data-test=list]").WaitForAsync();

        // Search, sort, open.
        await TabToAsync(tab, "document.activeElement.type === 'search'");
        await tab.Page.Keyboard.TypeAsync("by-key");
        await tab.Find("[data-test=total]:has-text(\"matching 'by-key'\")").WaitForAsync();
        await TabToAsync(tab, "document.activeElement.textContent.trim() === 'Objects'");
        await tab.Page.Keyboard.PressAsync("Enter");
        await tab.Find("th[aria-sort=descending]:has-text('Objects')").WaitForAsync();
        await TabToAsync(tab, "document.activeElement.closest('[data-test=list] tbody') !== null");
        await tab.Page.Keyboard.PressAsync("Enter");
        await tab.Find("[data-test=graph] .node").First.WaitForAsync();

        // Through the drawing, to the object that is busy.
        await TabToAsync(tab, $"document.activeElement.dataset.node === '{made.Guest}'");
        await tab.Find("[data-test=caption]:has-text('held by')").WaitForAsync();
        await tab.Page.Keyboard.PressAsync("Enter");
        await tab.Find($"#graph:has-text('around object {made.Guest}')").WaitForAsync();
        await TabToAsync(tab, "document.activeElement.textContent === 'Why is it busy?'");
        await tab.Page.Keyboard.PressAsync("Enter");
        await tab.Find("[data-test=steps]").WaitForAsync();
    }

    private static async Task TabToAsync(Tab tab, string isThere)
    {
        for (var i = 0; i < 80; i++)
        {
            await tab.Page.Keyboard.PressAsync("Tab");
            if (await tab.Page.EvaluateAsync<bool>(isThere))
            {
                return;
            }
        }

        Assert.Fail($"80 times Tab did not lead to where {isThere}");
    }
}
