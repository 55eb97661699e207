using IommuFd.Grains.Journaling;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Silo.Dashboard.Health;

/// <summary>Whether the silo's journals can be written to. What it says names neither a file nor a database: it is for all who can reach the port.</summary>
/// <param name="silo">The silo's life: before it has started, its store may not be set up, and one that leaves is not ready whatever its store says.</param>
/// <param name="store">The store; null for a silo without journals.</param>
internal sealed class JournalCheck(IHostApplicationLifetime silo, IJournalStore? store) : IHealthCheck
{
    private readonly PatientQuestion _question = new(() => store!.ProbeAsync(CancellationToken.None));

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (store is null || !silo.ApplicationStarted.IsCancellationRequested || silo.ApplicationStopping.IsCancellationRequested)
        {
            return HealthCheckResult.Healthy();
        }

        try
        {
            return await _question.IsAnsweredAsync(cancellationToken) ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("it does not answer");
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            return HealthCheckResult.Unhealthy("writes fail");
        }
    }
}
