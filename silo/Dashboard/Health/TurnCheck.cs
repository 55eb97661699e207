using IommuFd.Grains.Monitoring.Health;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Silo.Dashboard.Health;

/// <summary>Whether a grain's turn runs on this silo. One that starts or leaves has no turns, and is not to be restarted for that.</summary>
internal sealed class TurnCheck(IHostApplicationLifetime silo, SiloPulse pulse) : IHealthCheck
{
    private readonly PatientQuestion _question = new(pulse.BeatAsync);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (!silo.ApplicationStarted.IsCancellationRequested || silo.ApplicationStopping.IsCancellationRequested)
        {
            return HealthCheckResult.Healthy();
        }

        try
        {
            return await _question.IsAnsweredAsync(cancellationToken) ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("a turn takes more than a second");
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            return HealthCheckResult.Unhealthy("a turn fails");
        }
    }
}
