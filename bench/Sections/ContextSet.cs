using IommuFd.Bench.Harness;
using IommuFd.Bench.Yardsticks;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>What one caller calls: its context, through the SDK and through its grain, and its yardsticks.</summary>
internal sealed record CallTarget(int Caller, IommuContext Context, ContextCalls Grain, IPingGrain Ping, IRelayGrain Relay);

/// <summary>Open contexts and as many yardstick grains, with the callers spread evenly over them.</summary>
internal sealed class ContextSet : IAsyncDisposable
{
    private readonly IommuContext[] _contexts;
    private readonly CallTarget[] _targets;

    private ContextSet(IGrainFactory factory, IommuContext[] contexts, int callers)
    {
        _contexts = contexts;
        _targets = [.. Enumerable.Range(0, callers).Select(caller =>
        {
            var number = caller % contexts.Length;
            return new CallTarget(
                caller,
                contexts[number],
                new GrainChannel(factory).Find(contexts[number].Handle),
                factory.GetGrain<IPingGrain>(-1 - number),
                factory.GetGrain<IRelayGrain>(-1 - number));
        })];
    }

    /// <summary>Opens contexts with one IOAS each.</summary>
    public static async Task<ContextSet> OpenAsync(BenchRun run, int contexts, int callers)
    {
        var opened = new IommuContext[contexts];
        for (var i = 0; i < contexts; i++)
        {
            opened[i] = await run.Client.OpenAsync("bench");
            await opened[i].AllocateIoasAsync();
        }

        return new ContextSet(run.Grains, opened, callers);
    }

    /// <summary>The first of the contexts.</summary>
    public IommuContext First => _contexts[0];

    /// <summary>A load of calls by all callers.</summary>
    public Load Load<TReply>(string name, int operations, Func<CallTarget, ValueTask<TReply>> call, Predicate<TReply> isExpected)
        => new Load<TReply>(name, _targets.Length, operations, caller => call(_targets[caller]), isExpected);

    /// <summary>A load of one-hop calls with a number of bytes.</summary>
    public Load OneHop(int bytes)
    {
        var request = new YardstickRequest { Argument = new byte[bytes] };
        return Load($"one hop, {bytes} B", 1, target => target.Ping.PingAsync(request), reply => reply.Argument.Length == bytes);
    }

    /// <summary>A load of two-hop calls with a number of bytes.</summary>
    public Load TwoHops(int bytes)
    {
        var request = new YardstickRequest { Argument = new byte[bytes] };
        return Load($"two hops, {bytes} B", 1, target => target.Relay.RelayAsync(request), reply => reply.Argument.Length == bytes);
    }

    /// <summary>A load of one ioctl, called on the context's grain.</summary>
    public Load Ioctl(string name, IoctlRequest request, Errno errno = Errno.None)
        => Load(name, 1, target => target.Grain.IoctlAsync(request, default), reply => reply.Errno == errno);

    /// <summary>A load of one batch, called on the context's grain. Each of its ioctls counts as an operation.</summary>
    public Load Batch(string name, IoctlBatchRequest request, Errno errno)
        => Load(
            name,
            request.Requests.Length,
            target => target.Grain.IoctlBatchAsync(request, default),
            reply => reply.Replies.Length == request.Requests.Length && reply.Replies.All(each => each.Errno == errno));

    public async ValueTask DisposeAsync()
    {
        foreach (var context in _contexts)
        {
            await context.DisposeAsync();
        }
    }
}
