using IommuFd.GrainInterfaces;
using Orleans.Concurrency;

namespace IommuFd.Grains.Monitoring.Health;

/// <inheritdoc cref="IPulseGrain"/>
/// <remarks>It has no state, so that Orleans keeps it on the silo that asks, and needs no directory to find it.</remarks>
[StatelessWorker(1)]
internal sealed class PulseGrain : Grain, IPulseGrain
{
    public Task BeatAsync() => Task.CompletedTask;
}
