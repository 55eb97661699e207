using System.Net;

namespace IommuFd.Silo.Dashboard.Health;

// For container images, which have no curl and need none: the same program, with the same configuration, asks the silo so configured whether it
// is ready. It joins no cluster, and costs a process for a moment.

/// <summary><c>iommufd-silo --health</c>: asks the silo of this configuration whether it is ready.</summary>
internal static class HealthCommand
{
    public const string Argument = "--health";

    // More than a check may take, and less than the two seconds in which a silo that hangs is to be found out.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1.5);

    /// <summary>Asks, and prints what it learns. Returns 0 if the silo is ready, 1 if it is not, and 2 if it has no port to be asked at.</summary>
    public static async Task<int> RunAsync(DashboardSettings settings)
    {
        if (!settings.Enabled || settings.Port == 0)
        {
            var (setting, value) = settings.Enabled ? (nameof(settings.Port), "0") : (nameof(settings.Enabled), "false");
            Console.Error.WriteLine($"iommufd-silo: {DashboardSettings.Section}:{setting} is {value}, so the silo has no known port where its health can be asked: it is asked on the dashboard's.");
            return 2;
        }

        using var http = new HttpClient(Handler()) { Timeout = Patience };
        var url = new Uri(new Uri(UrlOf(settings)), Probe.PathOf(Probe.Ready));
        try
        {
            using var response = await http.GetAsync(url);
            var said = await response.Content.ReadAsStringAsync();
            (response.IsSuccessStatusCode ? Console.Out : Console.Error).WriteLine(said);
            return response.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException)
        {
            Console.Error.WriteLine($"unhealthy: {url} does not answer: {(exception is HttpRequestException ? exception.Message : $"nothing came within {Patience.TotalSeconds} s")}");
            return 1;
        }
    }

    // The dashboard's certificate is for its users' name, and may have been renewed since the silo has read it. Nothing secret is sent.
    private static SocketsHttpHandler Handler() => new()
    {
        UseProxy = false,
        AllowAutoRedirect = false,
#pragma warning disable CA5359 // See above.
        SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true },
#pragma warning restore CA5359
    };

    // A silo that listens on every address is asked on loopback.
    private static string UrlOf(DashboardSettings settings)
    {
        var address = IPAddress.Parse(settings.Address);
        var asked = address.Equals(IPAddress.Any) ? IPAddress.Loopback : address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : address;
        return $"{(settings.IsSecure ? "https" : "http")}://{new IPEndPoint(asked, settings.Port)}/";
    }
}
