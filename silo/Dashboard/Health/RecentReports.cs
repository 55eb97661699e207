using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Dashboard.Health;

// Anybody who reaches the port may ask, as often as they like. So a report is kept for a moment, and all who ask meanwhile get it.

/// <summary>The latest report on each question.</summary>
internal sealed class RecentReports(HealthCheckService checks, TimeProvider time, ILogger<RecentReports> logger)
{
    /// <summary>How old a report may be.</summary>
    public static readonly TimeSpan Age = TimeSpan.FromMilliseconds(500);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, (Task<HealthReport> Report, long Begun)> _reports = [];
    private bool _wasReady = true;

    /// <summary>A report that was begun a moment ago at most, or is being made.</summary>
    /// <param name="probe">The question, one of <see cref="Probe"/>.</param>
    public Task<HealthReport> GetAsync(string probe)
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            if (!_reports.TryGetValue(probe, out var latest) || (latest.Report.IsCompleted && time.GetElapsedTime(latest.Begun, now) >= Age))
            {
                _reports[probe] = latest = (Task.Run(() => MakeAsync(probe)), now);
            }

            return latest.Report;
        }
    }

    private async Task<HealthReport> MakeAsync(string probe)
    {
        var report = await checks.CheckHealthAsync(check => check.Tags.Contains(probe));
        if (probe == Probe.Ready)
        {
            Note(report);
        }

        return report;
    }

    private void Note(HealthReport report)
    {
        var isReady = report.Status == HealthStatus.Healthy;
        if (Interlocked.Exchange(ref _wasReady, isReady) == isReady)
        {
            return;
        }

        if (isReady)
        {
            logger.SiloReady();
        }
        else
        {
            logger.SiloNotReady(string.Join("; ", HealthEndpoints.ProblemsOf(report)));
        }
    }
}
