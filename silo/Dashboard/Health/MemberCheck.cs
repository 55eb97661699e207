using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace IommuFd.Silo.Dashboard.Health;

/// <summary>Whether the silo is an active member of its cluster, and stays one.</summary>
internal sealed class MemberCheck(IHostApplicationLifetime silo, IClusterMembershipService membership, ILocalSiloDetails details) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        => Task.FromResult(Problem() is { } problem ? HealthCheckResult.Unhealthy(problem) : HealthCheckResult.Healthy());

    private string? Problem()
        => silo.ApplicationStopping.IsCancellationRequested ? "it is leaving"
        : !silo.ApplicationStarted.IsCancellationRequested ? "it is starting"
        : membership.CurrentSnapshot.GetSiloStatus(details.SiloAddress) is var status and not SiloStatus.Active ? $"its cluster has it as {status}"
        : null;
}
