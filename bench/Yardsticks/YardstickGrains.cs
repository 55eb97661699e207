using System.Diagnostics.CodeAnalysis;
using IommuFd.Grains.Calls;
using Orleans.Placement;

namespace IommuFd.Bench.Yardsticks;

// What Orleans itself costs: grains that do as little as possible, with requests and replies of the same kind as an ioctl's. They are
// written in the fastest way (no async state machine, nothing looked up twice), so that no ratio is flattered.

/// <summary>A yardstick's request: as many bytes as the argument of the ioctl that it is compared with.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.Bench.YardstickRequest")]
public sealed class YardstickRequest
{
    /// <summary>The bytes.</summary>
    [Id(0)]
    public byte[] Argument { get; init; } = [];
}

/// <summary>A yardstick's reply.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.Bench.YardstickReply")]
public sealed class YardstickReply
{
    /// <summary>The bytes of the request.</summary>
    [Id(0)]
    public byte[] Argument { get; init; } = [];
}

/// <summary>One hop: answers at once.</summary>
[Alias("IommuFd.Bench.IPingGrain")]
public interface IPingGrain : IGrainWithIntegerKey
{
    [Alias("Ping")]
    ValueTask<YardstickReply> PingAsync(YardstickRequest request);

    /// <summary>Deactivates, as an object's grain does when it is ended.</summary>
    [Alias("End")]
    ValueTask EndAsync();
}

/// <summary>Two hops: calls a ping grain on its silo and returns its reply.</summary>
[Alias("IommuFd.Bench.IRelayGrain")]
public interface IRelayGrain : IGrainWithIntegerKey
{
    [Alias("Relay")]
    ValueTask<YardstickReply> RelayAsync(YardstickRequest request);

    /// <summary>Calls the ping grain with a key, which activates it if it is not active.</summary>
    [Alias("RelayTo")]
    ValueTask<YardstickReply> RelayToAsync(long key, YardstickRequest request);

    /// <summary>Ends the ping grain with a key.</summary>
    [Alias("EndOne")]
    ValueTask EndOneAsync(long key);

    /// <summary>Calls many ping grains, so that they are active.</summary>
    [Alias("ActivateMany")]
    ValueTask ActivateManyAsync(long first, int count);

    /// <summary>Ends many ping grains, as many at once as a context's release does.</summary>
    [Alias("EndMany")]
    ValueTask EndManyAsync(long first, int count);
}

/// <inheritdoc cref="IPingGrain"/>
[PreferLocalPlacement]
[SuppressMessage("Performance", "CA1812", Justification = "Orleans activates it.")]
internal sealed class PingGrain : Grain, IPingGrain
{
    public ValueTask<YardstickReply> PingAsync(YardstickRequest request) => ValueTask.FromResult(new YardstickReply { Argument = request.Argument });

    public ValueTask EndAsync()
    {
        DeactivateOnIdle();
        return ValueTask.CompletedTask;
    }
}

/// <inheritdoc cref="IRelayGrain"/>
[SuppressMessage("Performance", "CA1812", Justification = "Orleans activates it.")]
internal sealed class RelayGrain : Grain, IRelayGrain
{
    private static readonly YardstickRequest Empty = new();

    private IPingGrain? _leaf;

    public ValueTask<YardstickReply> RelayAsync(YardstickRequest request)
        => (_leaf ??= GrainFactory.GetGrain<IPingGrain>(this.GetPrimaryKeyLong())).PingAsync(request);

    public ValueTask<YardstickReply> RelayToAsync(long key, YardstickRequest request) => GrainFactory.GetGrain<IPingGrain>(key).PingAsync(request);

    public ValueTask EndOneAsync(long key) => GrainFactory.GetGrain<IPingGrain>(key).EndAsync();

    public async ValueTask ActivateManyAsync(long first, int count)
        => await ForEachAsync(first, count, async leaf => await leaf.PingAsync(Empty));

    public async ValueTask EndManyAsync(long first, int count)
        => await ForEachAsync(first, count, leaf => leaf.EndAsync());

    private Task ForEachAsync(long first, int count, Func<IPingGrain, ValueTask> action)
        => GrainParallel.ForEachAsync(Enumerable.Range(0, count), degree: 128, i => action(GrainFactory.GetGrain<IPingGrain>(first + i)));
}
