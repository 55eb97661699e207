using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Telemetry;

// By context, so that a device that faults without end pushes out only its own context's faults, and apart from the contexts, so that a context's faults can be read after it has
// closed. Where more contexts have some than are kept, the one goes whose last fault is the oldest.

/// <summary>The last accesses of devices that could not be translated, of the contexts of one silo. Thread-safe.</summary>
internal sealed class DmaFaultLog
{
    /// <summary>How many contexts' faults are kept.</summary>
    public const int MaxContexts = 32;

    /// <summary>How many faults of one context are kept.</summary>
    public const int MaxOfContext = FaultQuery.MaxLimit / MaxContexts;

    private readonly Lock _lock = new();
    private readonly Dictionary<ContextTag, Kept> _contexts = [];
    private long _last;

    /// <summary>How many there were.</summary>
    public long Last => Interlocked.Read(ref _last);

    /// <summary>Adds a fault, and numbers it.</summary>
    public void Add(RecordedDmaFault fault)
    {
        lock (_lock)
        {
            if (!_contexts.TryGetValue(fault.Context, out var kept))
            {
                if (_contexts.Count == MaxContexts)
                {
                    _contexts.Remove(_contexts.MinBy(context => context.Value.Last).Key);
                }

                _contexts.Add(fault.Context, kept = new Kept());
            }

            kept.Last = Interlocked.Increment(ref _last);
            kept.Faults.Enqueue(fault with { Number = kept.Last, Ordinal = ++kept.Count });
            if (kept.Faults.Count > MaxOfContext)
            {
                kept.Faults.Dequeue();
            }
        }
    }

    /// <summary>The faults after one, of one context or of all, oldest first; and the last there was.</summary>
    public (RecordedDmaFault[] Faults, long Last) Read(ContextTag? context, long after)
    {
        lock (_lock)
        {
            var asked = context is not { } tag ? _contexts.Values : _contexts.TryGetValue(tag, out var one) ? [one] : Enumerable.Empty<Kept>();
            return ([.. asked.Where(kept => kept.Last > after).SelectMany(kept => kept.Faults).Where(fault => fault.Number > after).OrderBy(fault => fault.Number)], _last);
        }
    }

    private sealed class Kept
    {
        public Queue<RecordedDmaFault> Faults { get; } = [];

        public long Count { get; set; }

        public long Last { get; set; }
    }
}
