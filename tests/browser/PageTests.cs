using System.Globalization;
using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.BrowserTests;

/// <summary>A silo that the tests of a class share.</summary>
public sealed class SharedSilo : IAsyncLifetime
{
    internal DashboardSilo Silo { get; private set; } = null!;

    public async Task InitializeAsync() => Silo = await DashboardSilo.StartAsync();

    public async Task DisposeAsync() => await Silo.DisposeAsync();
}

/// <summary>What the pages show of a silo at work is what it does.</summary>
[Collection(BrowserCollection.Name)]
public sealed class PageTests(Browser browser, SharedSilo shared) : IClassFixture<SharedSilo>
{
    private readonly DashboardSilo _silo = shared.Silo;

    [Fact]
    public async Task The_graph_has_every_object_with_its_users_and_every_hold()
    {
        await using var made = await Scenario.OpenAsync(_silo.Client);
        var graph = await made.Context.InspectGraphAsync();
        Assert.Equal(Enum.GetValues<ObjectType>().Where(type => type != ObjectType.Any), graph.Nodes.Where(node => !node.IsDriver).Select(node => node.Object.Type).Distinct().Order());
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url(made.Context), "[data-test=graph] .node");

        var nodes = await tab.Find("[data-test=graph] .node").EvaluateAllAsync<string[]>("nodes => nodes.map(node => `${node.dataset.node} ${node.dataset.users}`)");
        Assert.Equal(graph.Nodes.Select(node => $"{Key(node)} {node.Users}").Order(), nodes.Order());
        var edges = await tab.Find("[data-test=graph] .edge").EvaluateAllAsync<string[]>("edges => edges.map(edge => `${edge.dataset.holder} ${edge.dataset.held} ${edge.dataset.count}`)");
        Assert.Equal(graph.Edges.GroupBy(edge => (edge.Holder, edge.Held)).Select(group => $"{Key(graph.Nodes[group.Key.Holder])} {Key(graph.Nodes[group.Key.Held])} {group.Count()}").Order(), edges.Order());

        // Layers: devices left of HWPTs, those left of IOASes.
        async Task<double> LeftAsync(ObjectId id) => (await tab.Find($"[data-node='{id}'] .box").BoundingBoxAsync())!.X;
        Assert.True(await LeftAsync(made.Nic.Id) < await LeftAsync(made.Hwpt));
        Assert.True(await LeftAsync(made.Hwpt) < await LeftAsync(made.Guest));

        // Pointed at, a node names its holders; focused, it does too.
        await tab.Find($"[data-node='{made.Spare}']").HoverAsync();
        await tab.Find("[data-test=caption]:has-text('snapshot in progress')").WaitForAsync();
        await tab.Find($"[data-node='{made.Hwpt}']").FocusAsync();
        await tab.Find($"[data-test=caption]:has-text('device {made.Nic.Id}')").WaitForAsync();
        Assert.Contains($"device {made.Nic.Id} (attached)", await tab.Find($"[data-test=object-list] tr:has(a[href$='object={made.Hwpt}'])").InnerTextAsync(), StringComparison.Ordinal);

        // What changes is drawn anew.
        var late = await made.Context.AllocateIoasAsync();
        await tab.Find($"[data-node='{late}']").WaitForAsync();
        await made.Context.DestroyAsync(late);
        await tab.Find($"[data-node='{late}']").WaitForAsync(new() { State = Microsoft.Playwright.WaitForSelectorState.Detached });
    }

    [Fact]
    public async Task An_address_space_has_its_areas_and_reserved_ranges()
    {
        await using var made = await Scenario.OpenAsync(_silo.Client);
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url(made.Context, $"?ioas={made.Guest}"), "[data-test=space]");

        var areas = await tab.Find("[data-test=space] [data-area]").EvaluateAllAsync<string[]>("areas => [...new Set(areas.map(area => area.dataset.area))]");
        Assert.Equal(["0x0", "0x100000", "0x80000000"], areas.Order());
        Assert.Contains("0xFEE00000", await tab.Find("[data-test=space] [data-reserved]").EvaluateAllAsync<string[]>("ranges => ranges.map(range => range.dataset.reserved)"));
        Assert.Equal(3, await tab.Find("[data-test=areas] tbody tr").CountAsync());
    }

    [Fact]
    public async Task Ioctls_are_shown_decoded_as_they_are_answered()
    {
        await using var context = await _silo.Client.OpenAsync("tail");
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url(context), "#tail");

        var ioas = await context.AllocateIoasAsync();
        await Assert.ThrowsAsync<IommufdException>(async () => await context.DestroyAsync(new ObjectId(77)));
        await tab.Find($"[data-test=tail] tr:has-text('IOMMU_IOAS_ALLOC'):has-text('out_ioas_id={ioas}')").WaitForAsync();
        await tab.Find("[data-test=tail] tr:has-text('IOMMU_DESTROY {size=8, id=77}'):has-text('ENOENT'):has-text('no object has the id 77')").WaitForAsync();
    }

    [Fact]
    public async Task Following_the_steps_makes_DESTROY_work()
    {
        await using var made = await Scenario.OpenAsync(_silo.Client);
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url(made.Context, $"/why/{made.Guest}"), "[data-test=steps]");
        await Assert.ThrowsAsync<IommufdException>(async () => await made.Context.DestroyAsync(made.Guest));

        // Done as they stand there, by those whose they are; none may fail.
        var steps = await tab.Find("[data-test=steps] > li").EvaluateAllAsync<string[]>("steps => steps.map(step => `${step.dataset.kind} ${step.dataset.object}`)");
        Assert.NotEmpty(steps);
        foreach (var step in steps)
        {
            var (kind, id) = (step.Split(' ')[0], new ObjectId(uint.Parse(step.Split(' ')[1], CultureInfo.InvariantCulture)));
            var device = id == made.Nic.Id ? made.Nic : made.Gpu;
            await (Enum.Parse<BusyStepKind>(kind) switch
            {
                BusyStepKind.Destroy => made.Context.DestroyAsync(id).AsTask(),
                BusyStepKind.DetachDevice => device.DetachAsync().AsTask(),
                BusyStepKind.UnbindDevice => device.UnbindAsync(),
                BusyStepKind.DetachAccess => made.Mdev.DetachAsync().AsTask(),
                BusyStepKind.DestroyAccess => made.Mdev.DestroyAsync(),
                _ => made.Hold.DropAsync(),
            });
        }

        await tab.Find("[data-test=free]").WaitForAsync();
        await made.Context.DestroyAsync(made.Guest);
        await tab.Find("[data-test=no-object]").WaitForAsync();
    }

    [Fact]
    public async Task A_context_that_is_released_while_it_is_shown_is_said_to_be_gone()
    {
        var context = await _silo.Client.OpenAsync("short");
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(_silo.Url(context), "[data-test=objects]");
        await context.CloseAsync();
        await tab.Find("[data-test=gone]").First.WaitForAsync();

        await tab.GoAsync(_silo.Url("/contexts/no-tag"), "[data-test=gone]");

        // The browser notes a page that is not there.
        tab.MayFail = true;
        await tab.GoAsync(_silo.Url("/nowhere"), "text=There is no such page");
    }

    [Fact]
    public async Task No_page_shows_a_handle_whole()
    {
        await using var made = await Scenario.OpenAsync(_silo.Client);
        await using var tab = await browser.OpenAsync();
        var handle = made.Context.Handle.ToString();
        var seen = new List<string>();
        tab.Page.WebSocket += (_, socket) => socket.FrameReceived += (_, frame) => seen.Add(frame.Text ?? System.Text.Encoding.Latin1.GetString(frame.Binary!));
        var paths = Pages.Of(made).ToList();
        Assert.True(paths.Count >= 5, $"Only {paths.Count} pages were found.");
        foreach (var path in paths)
        {
            await tab.GoAsync(_silo.Url(path), Pages.Ready);
            seen.Add(await tab.Page.ContentAsync());
        }

        Assert.True(seen.Count > 8);
        Assert.Contains(seen, text => text.Contains($"{made.Context.Handle.Key.Tag}", StringComparison.Ordinal));
        Assert.All(seen, text =>
        {
            Assert.DoesNotContain(handle, text, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain(made.Context.Handle.Value.ToString(), text, StringComparison.OrdinalIgnoreCase);
        });
    }

    private static string Key(GraphNode node) => node.IsDriver ? $"driver-{node.Reference.Value}" : node.Object.Id.ToString();
}
