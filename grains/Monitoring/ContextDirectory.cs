using System.Collections.Concurrent;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

// The contexts that are open on a silo, so that lists and figures need no call to a context's grain: 10^5 of them can be scanned while each
// goes on with its turns. A scan reads single words of a context, each correct by itself.

/// <summary>The contexts that are open on a silo, by tag. Thread-safe.</summary>
internal sealed class ContextDirectory
{
    private static readonly ObjectType[] Types = [.. Enum.GetValues<ObjectType>().Where(type => type != ObjectType.Any)];

    private readonly ConcurrentDictionary<ContextTag, MonitoredContext> _contexts = [];
    private int _count;
    private int _durableCount;

    /// <summary>How many contexts are open.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>How many of them are durable.</summary>
    public int DurableCount => Volatile.Read(ref _durableCount);

    /// <summary>The contexts, in no particular order. Those added or removed meanwhile may or may not be among them.</summary>
    public IEnumerable<MonitoredContext> All => _contexts.Select(pair => pair.Value);

    public void Add(MonitoredContext context)
    {
        // Two activations of one context can overlap briefly on a silo: the later one is the context's.
        _contexts[context.Tag] = context;
        Interlocked.Increment(ref _count);
        if (context.IsDurable)
        {
            Interlocked.Increment(ref _durableCount);
        }
    }

    /// <summary>Removes a context that was added.</summary>
    public void Remove(MonitoredContext context)
    {
        ((ICollection<KeyValuePair<ContextTag, MonitoredContext>>)_contexts).Remove(new(context.Tag, context));
        Interlocked.Decrement(ref _count);
        if (context.IsDurable)
        {
            Interlocked.Decrement(ref _durableCount);
        }
    }

    public MonitoredContext? Find(ContextTag tag) => _contexts.GetValueOrDefault(tag);

    /// <summary>The objects of all contexts, by kind.</summary>
    public IReadOnlyList<ObjectCount> CountObjects() => Sum(static (context, type) => context.Model.Objects.CountOf(type));

    /// <summary>The users counts that owners have on objects, by the held object's kind. Visits every object.</summary>
    public IReadOnlyList<ObjectCount> CountHolds()
    {
        var holds = new long[Types.Length + 2];
        foreach (var context in All)
        {
            context.Model.Objects.CountHolds(holds);
        }

        return [.. Types.Select(type => new ObjectCount(type, holds[(int)type]))];
    }

    private ObjectCount[] Sum(Func<MonitoredContext, ObjectType, long> count)
    {
        var counts = new long[Types.Length];
        foreach (var context in All)
        {
            for (var i = 0; i < counts.Length; i++)
            {
                counts[i] += count(context, Types[i]);
            }
        }

        return [.. Types.Select((type, i) => new ObjectCount(type, counts[i]))];
    }
}
