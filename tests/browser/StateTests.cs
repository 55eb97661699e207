using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Dashboard;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.BrowserTests;

/// <summary>What is shown of a silo that has nothing, that begins, that does not answer and that is gone. Each test has a silo of its own.</summary>
[Collection(BrowserCollection.Name)]
public sealed class StateTests(Browser browser) : IAsyncLifetime
{
    private volatile bool _isSilent;
    private DashboardSilo _silo = null!;

    public async Task InitializeAsync() => _silo = await DashboardSilo.StartAsync(
        new DashboardSettings { OperatorToken = DashboardSilo.OperatorToken },
        configure: silo => silo.AddIncomingGrainCallFilter(async call =>
        {
            if (_isSilent && call.InterfaceMethod.DeclaringType is { } asked && (asked == typeof(IMonitorGrain) || asked.Name == "IContextControl"))
            {
                throw new TimeoutException("as if nobody answered");
            }

            await call.Invoke();
        }));

    public async Task DisposeAsync() => await _silo.DisposeAsync();

    [Fact]
    public async Task A_cluster_without_contexts_says_so()
    {
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url("/"), "[data-test=contexts]");
        Assert.Equal("0", await tab.TextAsync("contexts"));
        Assert.Contains("Active", await tab.TextAsync("silos"), StringComparison.Ordinal);

        await tab.Find("nav a:has-text('Contexts')").ClickAsync();
        await tab.Find("text=No context is open").WaitForAsync();
    }

    [Fact]
    public async Task The_overview_counts_what_is_done_while_it_is_done()
    {
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url("/"), "[data-test=contexts]");
        await using var context = await _silo.Client.OpenAsync("live");
        var ioas = await context.AllocateIoasAsync();
        for (var i = 0; i < 3; i++)
        {
            await Assert.ThrowsAsync<IommufdException>(async () => await context.DestroyAsync(new ObjectId(77)));
        }

        await tab.Find("[data-test=contexts]:text-is('1')").WaitForAsync();
        await tab.Find("[data-test=object-count] tr:has-text('IOAS'):has-text('1')").WaitForAsync();
        await tab.Find("[data-test=errno-count] tr:has-text('ENOENT'):has-text('3')").WaitForAsync();
        await tab.Find("[data-test=command-count] tr:has-text('DESTROY'):has-text('3')").WaitForAsync();
        await context.DestroyAsync(ioas);
        await tab.Find("[data-test=command-count] tr:has-text('DESTROY'):has-text('4')").WaitForAsync();
    }

    [Fact]
    public async Task Nobody_is_asked_while_nobody_looks()
    {
        var feed = _silo.Host.Services.GetRequiredService<DashboardServer>().Feed;
        Assert.Equal(0, feed.Asked);
        await using (var tab = await browser.OpenAsync())
        {
            await tab.GoAsync(_silo.Url("/"), "[data-test=contexts]");
            Assert.True(feed.Asked > 0);

            // The circuit stays; the page that is left asks no more.
            await tab.Find("nav a:has-text('Contexts')").ClickAsync();
            await tab.Find("text=No context is open").WaitForAsync();
            Assert.False(feed.IsAsking);
            await tab.Find("nav a:has-text('Overview')").ClickAsync();
            await tab.Find("[data-test=contexts]").WaitForAsync();
            Assert.True(feed.IsAsking);
        }
    }

    [Fact]
    public async Task A_service_that_does_not_answer_is_said_so_and_what_was_last_seen_stays()
    {
        await using var context = await _silo.Client.OpenAsync("seen");
        await using var overview = await browser.OpenAsync();
        await overview.GoAsync(_silo.Url("/"), "[data-test=contexts]:text-is('1')");
        await using var list = await browser.OpenAsync();
        await list.GoAsync(_silo.Url("/contexts"), "[data-test=list]");
        await using var one = await browser.OpenAsync();
        await one.GoAsync(_silo.Url(context), "[data-test=objects]");

        _isSilent = true;
        foreach (var tab in (Tab[])[overview, list, one])
        {
            await tab.Find(".note.bad:has-text('does not answer')").First.WaitForAsync();
        }

        Assert.Equal("1", await overview.TextAsync("contexts"));
        Assert.Contains("seen", await list.TextAsync("list"), StringComparison.Ordinal);
        _isSilent = false;
        foreach (var tab in (Tab[])[overview, list, one])
        {
            await tab.Find(".note.bad").First.WaitForAsync(new() { State = Microsoft.Playwright.WaitForSelectorState.Detached });
        }
    }

    [Fact]
    public async Task Orleans_own_dashboard_is_beside_it()
    {
        await using var context = await _silo.Client.OpenAsync("grains");
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url("/"), "[data-test=contexts]");
        await tab.Find("nav a:has-text('Orleans')").ClickAsync();
        await tab.Page.WaitForURLAsync("**/orleans/**");
        await tab.Find("text=Active Silos").First.WaitForAsync();

        // Its figures are some seconds old; it asks again until it has them.
        await tab.Find("a.nav-link[href='#/grains']").ClickAsync();
        await tab.Find("text=ContextGrain").First.WaitForAsync();
        Assert.DoesNotContain(context.Handle.ToString(), await tab.Page.ContentAsync(), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_silo_that_is_gone_is_said_so()
    {
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url("/"), "[data-test=contexts]");
        tab.MayFail = true;
        await _silo.DisposeAsync();
        await tab.Find("#components-reconnect-modal:has-text('The silo does not answer')").WaitForAsync();
    }

    [Fact]
    public async Task An_operator_signs_in_drops_what_is_stuck_and_releases_the_context()
    {
        await using var made = await Scenario.OpenAsync(_silo.Client);
        await using var tab = await browser.OpenAsync();

        // Who looks can't act.
        await tab.GoAsync(_silo.Url(made.Context, $"/why/{made.Spare}"), "[data-test=steps]");
        Assert.Equal(0, await tab.Find("details.act").CountAsync());

        await tab.Find("text=Sign in as operator").ClickAsync();
        await tab.Find("input[name=token]").FillAsync(DashboardSilo.OperatorToken);
        await tab.Find("input[name=name]").FillAsync("Ada");
        await tab.Page.Keyboard.PressAsync("Enter");
        await tab.Find("text=operator").First.WaitForAsync();

        await tab.GoAsync(_silo.Url(made.Context, $"/why/{made.Spare}"), "[data-test=drop-hold] summary");
        await tab.Find("[data-test=drop-hold] summary").ClickAsync();
        await tab.Find("[data-test=drop-hold] button").ClickAsync();

        // The browser itself asks for the confirmation; nothing is sent without.
        Assert.Contains("/why/", tab.Page.Url, StringComparison.Ordinal);
        await tab.Find("[data-test=drop-hold] input[name=confirmed]").CheckAsync();
        await tab.Find("[data-test=drop-hold] button").ClickAsync();
        await tab.Find("[data-test=outcome]:has-text('Dropping the hold: done')").WaitForAsync();
        await made.Context.DestroyAsync(made.Spare);

        await tab.Find("[data-test=release] summary").ClickAsync();
        await tab.Find("[data-test=release] input[name=confirmed]").CheckAsync();
        await tab.Find("[data-test=release] button").ClickAsync();
        await tab.Find("[data-test=outcome]:has-text('objects destroyed')").WaitForAsync();
        await tab.Find("[data-test=gone]").First.WaitForAsync();
    }
}
