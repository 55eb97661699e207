using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace IommuFd.Grains.Monitoring;

/// <inheritdoc cref="ISiloMonitor"/>
internal sealed class SiloMonitor(
    GrainId id, Silo silo, ILoggerFactory loggers, ILocalSiloDetails details, IOptions<ContextOptions> options, SiloStatistics statistics, ContextDirectory directory,
    TimeProvider time)
    : GrainService(id, silo, loggers), ISiloMonitor
{
    private readonly string _address = details.SiloAddress.ToString();

    public Task<SiloOverview> OverviewAsync(OverviewRequest request) => Task.FromResult(new SiloOverview
    {
        Address = _address,
        Answered = true,
        Started = statistics.Started.UtcDateTime,
        Contexts = statistics.Contexts,
        DurableContexts = statistics.DurableContexts,
        Objects = [.. statistics.Objects()],
        Ioctls = [.. statistics.Ioctls()],
        Activity = statistics.Activity(request.AfterSecond),
    });

    public Task<SiloContextPage> ListContextsAsync(ContextQuery query) => Task.FromResult(ContextSelection.Select(directory, query, _address, options.Value.Lease, time));

    public Task<ContextKey?> FindAsync(ContextTag tag) => Task.FromResult(directory.Find(tag)?.Key);
}
