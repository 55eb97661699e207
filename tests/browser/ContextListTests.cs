using System.Diagnostics;
using IommuFd.GrainInterfaces;
using Xunit.Abstractions;

namespace IommuFd.BrowserTests;

/// <summary>A silo with ten thousand contexts, which the tests of this class share.</summary>
public sealed class ManyContexts : IAsyncLifetime
{
    public const int Count = 10_000;

    internal DashboardSilo Silo { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        Silo = await DashboardSilo.StartAsync();
        var contexts = await Task.WhenAll(Enumerable.Range(0, Count).Select(i => Silo.Client.OpenAsync($"vmm-{i:D5}")));
        for (var i = 0; i < 5; i++)
        {
            await contexts[4321].AllocateIoasAsync();
        }
    }

    public async Task DisposeAsync() => await Silo.DisposeAsync();
}

/// <summary>Ten thousand contexts are paged, sorted and searched where they are.</summary>
[Collection(BrowserCollection.Name)]
public sealed class ContextListTests(Browser browser, ManyContexts many, ITestOutputHelper output) : IClassFixture<ManyContexts>
{
    /// <summary>What a page or a search may take, without the browser's part.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMilliseconds(200);

    [Fact]
    public async Task They_are_searched_sorted_and_paged()
    {
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(many.Silo.Url("/contexts"), "[data-test=list]");
        Assert.Equal("10,000 contexts", await tab.TextAsync("total"));
        Assert.Equal(50, await tab.Find("[data-test=list] tbody tr").CountAsync());

        await tab.Find("button:text-is('Opener')").ClickAsync();
        await tab.Find("th[aria-sort=ascending]:has-text('Opener')").WaitForAsync();
        await tab.Find("[data-test=list] tbody tr:first-child:has-text('vmm-00000')").WaitForAsync();
        await tab.Find("button:text-is('Opener')").ClickAsync();
        await tab.Find("[data-test=list] tbody tr:first-child:has-text('vmm-09999')").WaitForAsync();
        await tab.Find("button:text-is('Next')").ClickAsync();
        await tab.Find("[data-test=list] tbody tr:first-child:has-text('vmm-09949')").WaitForAsync();
        Assert.Contains("page=2", tab.Page.Url, StringComparison.Ordinal);

        await tab.Find("button:text-is('Objects')").ClickAsync();
        await tab.Find("[data-test=list] tbody tr:first-child:has-text('vmm-04321')").WaitForAsync();

        await tab.Find("input[type=search]").FillAsync("vmm-0432");
        await tab.Find("[data-test=total]:has-text('10 contexts')").WaitForAsync();
        Assert.Equal(10, await tab.Find("[data-test=list] tbody tr").CountAsync());
        await tab.Find("input[type=search]").FillAsync("nobody has this");
        await tab.Find("text=No context matches").WaitForAsync();
    }

    [Fact]
    public async Task A_page_and_a_search_take_at_most_200_milliseconds()
    {
        var monitor = many.Silo.Grains.GetGrain<IMonitorGrain>(0);
        ContextQuery[] queries =
        [
            new("", ContextOrder.Opened, true, 0, 50), new("", ContextOrder.Opener, false, 9950, 50), new("", ContextOrder.Objects, true, 0, 50), new("vmm-0432", ContextOrder.Opened, true, 0, 50),
        ];
        foreach (var query in queries)
        {
            // The best of five: what else the machine does only adds to it, and the first also compiles the code. The last page is the dearest, as all others come before it.
            var times = new List<TimeSpan>();
            for (var i = 0; i < 5; i++)
            {
                var started = Stopwatch.GetTimestamp();
                await monitor.ListContextsAsync(query);
                times.Add(Stopwatch.GetElapsedTime(started));
            }

            output.WriteLine($"{query}: {times.Min().TotalMilliseconds:0.0} ms, the median {times.Order().ElementAt(2).TotalMilliseconds:0.0} ms");
            Assert.True(times.Min() < Limit, $"{query} took {times.Min().TotalMilliseconds:0} ms");
        }

        // What a person waits for: from a letter to the drawn list, the browser's part and the socket's included.
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(many.Silo.Url("/contexts"), "[data-test=list]");
        var typed = Stopwatch.GetTimestamp();
        await tab.Find("input[type=search]").FillAsync("vmm-0077");
        await tab.Find("[data-test=total]:has-text('10 contexts')").WaitForAsync();
        output.WriteLine($"typed and drawn: {Stopwatch.GetElapsedTime(typed).TotalMilliseconds:0} ms");
    }
}
