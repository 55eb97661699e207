using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Text.RegularExpressions;
using IommuFd.Silo.Dashboard;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.BrowserTests;

/// <summary>A silo whose dashboard others can reach.</summary>
public sealed class ReachableSilo : IAsyncLifetime
{
    internal DashboardSilo Silo { get; private set; } = null!;

    public async Task InitializeAsync() => Silo = await DashboardSilo.StartAsync(new DashboardSettings
    {
        Address = "0.0.0.0",
        Token = DashboardSilo.ViewerToken,
        OperatorToken = DashboardSilo.OperatorToken,
    });

    public async Task DisposeAsync() => await Silo.DisposeAsync();
}

/// <summary>Who is let in, and from where. Asked by HTTP, as an attacker would.</summary>
public sealed partial class AccessTests(ReachableSilo reachable) : IClassFixture<ReachableSilo>
{
    private static readonly string[] ForEverybody = ["/sign-in", "/sign-out", "/assets/dashboard.css", "/assets/icon.svg", "/health/startup", "/health/ready", "/health/live"];

    private readonly DashboardSilo _silo = reachable.Silo;

    [Fact]
    public async Task Beyond_loopback_a_silo_without_a_token_does_not_start()
    {
        var refused = await Assert.ThrowsAsync<ValidationException>(() => DashboardSilo.StartAsync(new DashboardSettings { Address = "0.0.0.0" }));

        Assert.Contains("Dashboard:Address: is 0.0.0.0, which others can reach, so Dashboard:Token or Dashboard:TokenFile must be set too", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("secret")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    [InlineData("0123456789abcdef01234567")]
    public async Task A_token_that_can_be_guessed_is_refused(string token)
    {
        var refused = await Assert.ThrowsAsync<ValidationException>(() => DashboardSilo.StartAsync(new DashboardSettings { Token = token }));

        Assert.Contains("Dashboard:Token: could be guessed", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_answered_without_the_token_but_the_page_to_sign_in_at()
    {
        await using var context = await _silo.Client.OpenAsync("secret-opener");
        using var http = _silo.Http();
        var routes = _silo.Host.Services.GetRequiredService<DashboardServer>().Endpoints.OfType<RouteEndpoint>().Select(endpoint => $"/{endpoint.RoutePattern.RawText?.TrimStart('/')}").Distinct().ToList();
        Assert.Contains("/_blazor", routes);
        Assert.Contains("/orleans/DashboardCounters", routes);
        Assert.Contains("/operate", routes);
        var paths = routes.Select(route => Parameter().Replace(route, "x"))
            .Concat(["/", "/contexts", "/nowhere", "/_blazor", "/_blazor/negotiate", "/_framework/blazor.web.js", "/assets/dashboard.js", $"/contexts/{context.Handle.Key.Tag}", $"/contexts/{context.Handle.Key.Tag}/why/1", "/orleans/", "/orleans/index.min.js"])
            .Except(ForEverybody).Distinct();
        foreach (var path in paths)
        {
            foreach (var method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Post])
            {
                using var request = new HttpRequestMessage(method, path);
                request.Headers.Accept.ParseAdd("text/html");
                using var response = await http.SendAsync(request);
                var isRefused = response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.MethodNotAllowed
                    || (response.StatusCode == HttpStatusCode.Redirect && response.Headers.Location!.ToString().Contains("/sign-in?", StringComparison.Ordinal));
                Assert.True(isRefused, $"{method} {path} is answered with {response.StatusCode}");
                Assert.Empty(await response.Content.ReadAsStringAsync());
            }
        }
    }

    [Theory]
    [InlineData("wrong-token-of-the-tests", HttpStatusCode.Unauthorized)]
    [InlineData(DashboardSilo.ViewerToken, HttpStatusCode.OK)]
    [InlineData(DashboardSilo.OperatorToken, HttpStatusCode.OK)]
    public async Task A_script_sends_its_token_with_each_request(string token, HttpStatusCode expected)
    {
        using var http = _silo.Http(token);
        foreach (var path in (string[])["/", "/contexts", "/orleans/", "/orleans/DashboardCounters", "/_framework/blazor.web.js"])
        {
            using var response = await http.GetAsync(path);
            Assert.True(expected == response.StatusCode, $"{path} is answered with {response.StatusCode}");
        }
    }

    [Fact]
    public async Task Signing_in_gives_a_cookie_that_only_this_site_sends_and_no_script_reads()
    {
        using var http = _silo.Http();
        using var refused = await SignInAsync(http, "wrong-token-of-the-tests");
        Assert.Contains("refused=1", refused.Headers.Location!.ToString(), StringComparison.Ordinal);
        Assert.False(refused.Headers.TryGetValues("Set-Cookie", out _));

        using var response = await SignInAsync(http, DashboardSilo.ViewerToken, "/contexts");
        Assert.Equal("/contexts", response.Headers.Location!.ToString());
        var cookie = Assert.Single(response.Headers.GetValues("Set-Cookie"), cookie => cookie.StartsWith("iommufd-dashboard", StringComparison.Ordinal));
        Assert.Contains("samesite=strict", cookie, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("httponly", cookie, StringComparison.OrdinalIgnoreCase);
        using var page = await http.GetAsync("/contexts");
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
    }

    [Theory]
    [InlineData("//evil.example")]
    [InlineData("https://evil.example")]
    [InlineData("/\\evil.example")]
    [InlineData("/contexts\r\nSet-Cookie: a=b")]
    [InlineData("/contexts\u0001")]
    [InlineData("/contexts\u007f")]
    [InlineData("/contexts\u0085\u2028")]
    public async Task Signing_in_leads_to_no_other_site(string to)
    {
        using var http = _silo.Http();
        using var response = await SignInAsync(http, DashboardSilo.ViewerToken, to);
        Assert.Equal("/", response.Headers.Location!.ToString());
    }

    [Fact]
    public async Task After_some_wrong_tokens_an_address_has_to_wait_and_a_right_one_is_refused_too_and_all_of_it_is_logged()
    {
        using var log = new LogLines();
        await using var silo = await DashboardSilo.StartAsync(new DashboardSettings { Token = DashboardSilo.ViewerToken }, configure: configured => configured.ConfigureLogging(log.AddTo));
        using var signedIn = silo.Http();
        (await SignInAsync(signedIn, DashboardSilo.ViewerToken)).Dispose();
        using var wrong = silo.Http("wrong-token-of-the-tests");
        for (var i = 0; i < 9; i++)
        {
            using var refused = await wrong.GetAsync("/");
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        }

        using var form = silo.Http();
        using var tenth = await SignInAsync(form, "wrong-token-of-the-tests");
        Assert.Contains("refused=1", tenth.Headers.Location!.ToString(), StringComparison.Ordinal);
        using var eleventh = await SignInAsync(form, DashboardSilo.ViewerToken);
        Assert.Contains("refused=wait-", eleventh.Headers.Location!.ToString(), StringComparison.Ordinal);
        using var right = silo.Http(DashboardSilo.ViewerToken);
        using var tooMany = await right.GetAsync("/");
        Assert.Equal(HttpStatusCode.TooManyRequests, tooMany.StatusCode);

        // Who is in stays in, and health is for all.
        Assert.Contains("Overview", await signedIn.GetStringAsync("/"), StringComparison.Ordinal);
        Assert.Equal("healthy", await right.GetStringAsync("/health/live"));
        for (var i = 0; i < 50; i++)
        {
            (await wrong.GetAsync("/")).Dispose();
        }

        Assert.Equal(20, log.Lines.Count(line => line.Contains("refused a token from 127.0.0.1", StringComparison.Ordinal)));
        Assert.DoesNotContain(log.Lines, line => line.Contains("wrong-token-of-the-tests", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_form_that_is_not_of_this_site_is_refused()
    {
        using var http = _silo.Http();
        using var response = await http.PostAsync("/sign-in", new FormUrlEncodedContent(new Dictionary<string, string> { ["token"] = DashboardSilo.ViewerToken }));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Theory]
    [InlineData("evil.example", null)]
    [InlineData("localhost.evil.example", null)]
    [InlineData(null, "https://evil.example")]
    [InlineData(null, "null")]
    public async Task On_loopback_what_a_browser_sends_for_another_site_is_refused(string? host, string? origin)
    {
        await using var silo = await DashboardSilo.StartAsync();
        using var http = silo.Http();
        foreach (var path in (string[])["/", "/contexts", "/_blazor/negotiate", "/orleans/DashboardCounters", "/assets/dashboard.css"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            request.Headers.Host = host is null ? null : $"{host}:{silo.Address.Port}";
            if (origin is not null)
            {
                request.Headers.Add("Origin", origin);
            }

            using var response = await http.SendAsync(request);
            Assert.True(response.StatusCode == HttpStatusCode.BadRequest, $"{path} is answered with {response.StatusCode}");
        }
    }

    [Fact]
    public async Task Every_answer_says_what_browsers_may_not_do_with_it()
    {
        using var http = _silo.Http(DashboardSilo.ViewerToken);
        foreach (var path in (string[])["/", "/sign-in", "/assets/dashboard.css", "/orleans/", "/nowhere", "/operate"])
        {
            using var response = await http.GetAsync(path);
            string Header(string name) => Assert.Single(response.Headers.GetValues(name));
            Assert.Contains("frame-ancestors 'none'", Header("Content-Security-Policy"), StringComparison.Ordinal);
            Assert.Contains("script-src 'self';", Header("Content-Security-Policy"), StringComparison.Ordinal);
            Assert.Equal(("nosniff", "same-origin", "DENY"), (Header("X-Content-Type-Options"), Header("Referrer-Policy"), Header("X-Frame-Options")));
            Assert.False(response.Headers.Contains("Server"));
        }
    }

    [Fact]
    public async Task Nothing_is_changed_without_the_role_the_form_s_token_and_a_confirmation()
    {
        await using var context = await _silo.Client.OpenAsync("stays");
        var tag = context.Handle.Key.Tag.ToString();
        Dictionary<string, string> release = new() { ["tag"] = tag, ["action"] = "release", ["confirmed"] = "yes" };

        // A viewer with all else right.
        using var viewer = _silo.Http();
        (await SignInAsync(viewer, DashboardSilo.ViewerToken)).Dispose();
        Assert.Equal(HttpStatusCode.Forbidden, await PostAsync(viewer, new(release) { ["__RequestVerificationToken"] = await FormTokenAsync(viewer) }));

        // An operator's browser that another site makes send it: the cookie is there, the form's token is not.
        using var @operator = _silo.Http();
        (await SignInAsync(@operator, DashboardSilo.OperatorToken)).Dispose();
        Assert.Equal(HttpStatusCode.BadRequest, await PostAsync(@operator, release));

        // By a link.
        using var get = await @operator.GetAsync($"/operate?tag={tag}&action=release&confirmed=yes");
        Assert.NotEqual(HttpStatusCode.OK, get.StatusCode);

        // Not confirmed.
        Dictionary<string, string> unconfirmed = new(release) { ["__RequestVerificationToken"] = await FormTokenAsync(@operator) };
        unconfirmed.Remove("confirmed");
        Assert.Equal(HttpStatusCode.BadRequest, await PostAsync(@operator, unconfirmed));
        Assert.Equal(0, (int)(await context.InspectAsync()).Errno);

        // All right.
        Assert.Equal(HttpStatusCode.Redirect, await PostAsync(@operator, new(release) { ["__RequestVerificationToken"] = await FormTokenAsync(@operator) }));
        Assert.Equal(Uapi.Errno.EBADF, (await Assert.ThrowsAsync<Client.IommufdException>(() => context.InspectAsync())).Errno);
    }

    [Fact]
    public async Task No_state_of_grains_is_shown_by_their_keys()
    {
        using var http = _silo.Http(DashboardSilo.OperatorToken);
        using var response = await http.GetAsync("/orleans/GrainState?grainId=x&grainType=y");
        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    private static async Task<HttpResponseMessage> SignInAsync(HttpClient http, string token, string to = "/")
        => await http.PostAsync("/sign-in", new FormUrlEncodedContent(new Dictionary<string, string>
        {
            ["token"] = token,
            ["name"] = "tester",
            ["to"] = to,
            ["__RequestVerificationToken"] = await FormTokenAsync(http),
        }));

    private static async Task<HttpStatusCode> PostAsync(HttpClient http, Dictionary<string, string> form)
    {
        using var response = await http.PostAsync("/operate", new FormUrlEncodedContent(form));
        return response.StatusCode;
    }

    private static async Task<string> FormTokenAsync(HttpClient http) => FormToken().Match(await http.GetStringAsync("/sign-in")).Groups[1].Value;

    [GeneratedRegex("name=\"__RequestVerificationToken\" value=\"([^\"]+)\"")]
    private static partial Regex FormToken();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Parameter();
}
