using System.Net;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Dashboard;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.BrowserTests;

/// <summary>Questions about a silo's health by all who reach its port, as often as they like, and what the overview shows of its journal.</summary>
[Collection(BrowserCollection.Name)]
public sealed class HealthTests(Browser browser) : IAsyncLifetime, IAsyncDisposable
{
    private const string Secret = "/srv/secret/place of the journal";

    private readonly SqliteJournalPlace _place = new();
    private CountingJournalStore _store = null!;
    private WatchedJournalStore _watched = null!;
    private TaskCompletionSource _turns = new();
    private DashboardSilo _silo = null!;

    public async Task InitializeAsync()
    {
        _turns.SetResult();
        _store = new CountingJournalStore(await _place.OpenInitializedStoreAsync());
        _silo = await DashboardSilo.StartAsync(
            new DashboardSettings { Address = "0.0.0.0", Token = DashboardSilo.ViewerToken, AllowedHosts = "dashboard.example" },
            new ContextOptions(),
            silo =>
            {
                silo.Services.AddSingleton<IJournalStore>(services => _watched = ActivatorUtilities.CreateInstance<WatchedJournalStore>(services, _store));
                silo.Services.AddSingleton<IJournalHealth>(services => (WatchedJournalStore)services.GetRequiredService<IJournalStore>());
                silo.AddIncomingGrainCallFilter(async call =>
                {
                    if (call.InterfaceMethod.DeclaringType!.Name == "IPulseGrain")
                    {
                        await _turns.Task;
                    }

                    await call.Invoke();
                });
            });
    }

    public async Task DisposeAsync()
    {
        _turns.TrySetResult();
        await _silo.DisposeAsync();
        await _store.DisposeAsync();
        await _place.DisposeAsync();
    }

    async ValueTask IAsyncDisposable.DisposeAsync() => await DisposeAsync();

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("10.1.2.3")]
    [InlineData("silo-0.namespace.svc")]
    public async Task Who_asks_needs_no_token_and_may_call_the_silo_as_they_like(string host)
    {
        using var http = _silo.Http();
        foreach (var probe in (string[])["startup", "ready", "live"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"/health/{probe}");
            request.Headers.Host = host;
            using var response = await http.SendAsync(request);
            Assert.Equal((HttpStatusCode.OK, "healthy"), (response.StatusCode, await response.Content.ReadAsStringAsync()));
        }

        using var head = await http.SendAsync(new HttpRequestMessage(HttpMethod.Head, "/health/ready"));
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
        using var post = await http.PostAsync("/health/ready", null);
        Assert.Equal(HttpStatusCode.Unauthorized, post.StatusCode);
    }

    [Fact]
    public async Task An_answer_says_nothing_of_where_the_journal_is()
    {
        _store.BeforeProbe = () => throw new JournalStoreException($"SQLite file {Secret} could not write: the disk is full.");
        using var http = _silo.Http();
        await Eventually.TrueAsync(async () => (await AskAsync(http, "ready")).Status == HttpStatusCode.ServiceUnavailable, "the silo is not ready");
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "unhealthy\njournal: writes fail"), await AskAsync(http, "ready"));
        Assert.Equal((HttpStatusCode.OK, "healthy"), await AskAsync(http, "live"));
    }

    [Fact]
    public async Task However_many_ask_a_journal_that_does_not_answer_is_asked_once()
    {
        var answer = new TaskCompletionSource();
        _store.BeforeProbe = () => answer.Task;
        using var http = _silo.Http();
        await Eventually.TrueAsync(
            async () => (await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => AskAsync(http, "ready")))).All(said => said == (HttpStatusCode.ServiceUnavailable, "unhealthy\njournal: it does not answer")),
            "all are told that the journal does not answer");

        // It is answered once, later: then it is asked again.
        var asked = _store.Probes;
        await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => AskAsync(http, "ready")));
        Assert.Equal(asked, _store.Probes);
        answer.SetResult();
        await Eventually.TrueAsync(async () => (await AskAsync(http, "ready")).Status == HttpStatusCode.OK, "the silo is ready again");
    }

    [Fact]
    public async Task A_silo_whose_turns_do_not_run_is_not_alive()
    {
        using var http = _silo.Http();
        Assert.Equal((HttpStatusCode.OK, "healthy"), await AskAsync(http, "live"));
        _turns = new TaskCompletionSource();
        await Eventually.TrueAsync(async () => (await AskAsync(http, "live")) == (HttpStatusCode.ServiceUnavailable, "unhealthy\nturns: a turn takes more than a second"), "the silo is not alive");
        _turns.SetResult();
        await Eventually.TrueAsync(async () => (await AskAsync(http, "live")).Status == HttpStatusCode.OK, "the silo is alive again");
    }

    [Fact]
    public async Task The_overview_shows_whether_the_journal_works_and_why_not()
    {
        await _watched.ProbeAsync(default);
        await using var silo = await DashboardSilo.StartAsync(configure: other => other.Services.AddSingleton<IJournalHealth>(_ => _watched));
        Assert.Equal(JournalState.Works, Assert.Single((await silo.Grains.GetGrain<IMonitorGrain>(0).OverviewAsync(new OverviewRequest(0))).Silos).Journal);
        await using var tab = await browser.OpenAsync();
        await tab.GoAsync(silo.Url("/"), "[data-test=silos] [data-label=Journal]:has-text('works')");
        _store.BeforeProbe = () => throw new JournalStoreException($"SQLite file {Secret} could not write: the disk is full.");
        await Assert.ThrowsAsync<JournalStoreException>(() => _watched.ProbeAsync(default));
        await tab.Find($"[data-test=silos] [data-label=Journal]:has-text('fails'):has-text('{Secret} could not write: the disk is full')").WaitForAsync();
    }

    private static async Task<(HttpStatusCode Status, string Text)> AskAsync(HttpClient http, string probe)
    {
        using var response = await http.GetAsync($"/health/{probe}");
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }
}
