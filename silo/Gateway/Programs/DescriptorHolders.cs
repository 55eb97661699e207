using System.Collections.Concurrent;
using System.Collections.Immutable;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Monitoring;
using IommuFd.Silo.Gateway.Descriptors;

namespace IommuFd.Silo.Gateway.Programs;

// The kernel tells when the last copy of a descriptor is closed, and not who has one. A process is known to have what it has opened, what it has proved, and what it uses in a
// call: from then on, until it closes a copy or ends. One that has closed a copy and has another is known again with its next call.

/// <summary>Which processes have which of the gateway's descriptors. Thread-safe.</summary>
internal sealed class DescriptorHolders : IProgramDirectory
{
    /// <summary>Processes that are known to have one descriptor; those that come when there are so many are not.</summary>
    private const int MaxHolders = 64;

    private readonly ConcurrentDictionary<Descriptor, ImmutableHashSet<HoldingProcess>> _holders = new();

    /// <summary>A process has opened a descriptor.</summary>
    public void Opened(Descriptor descriptor, HoldingProcess process) => _holders[descriptor] = [process];

    /// <summary>A process has shown that it has a descriptor.</summary>
    public void Note(Descriptor descriptor, HoldingProcess process)
    {
        while (_holders.TryGetValue(descriptor, out var known) && !known.Contains(process))
        {
            var rest = known.Count < MaxHolders ? known : known.Except(known.Where(other => other.IsGone));
            if (rest.Count >= MaxHolders || _holders.TryUpdate(descriptor, rest.Add(process), known))
            {
                return;
            }
        }
    }

    /// <summary>A process has closed a copy, which was not the last.</summary>
    public void Closed(Descriptor descriptor, HoldingProcess process)
    {
        while (_holders.TryGetValue(descriptor, out var known) && known.Contains(process) && !_holders.TryUpdate(descriptor, known.Remove(process), known))
        {
        }
    }

    /// <summary>The last copy was closed.</summary>
    public void Remove(Descriptor descriptor) => _holders.TryRemove(descriptor, out _);

    /// <summary>Whether a descriptor leads to a context.</summary>
    public bool HasContext(ContextTag context) => _holders.Keys.Any(descriptor => !descriptor.Leads.IsOfDevices && descriptor.Opened.Handle.Key.Tag == context);

    /// <inheritdoc/>
    public IReadOnlyList<ContextPrograms> ProgramsOf(IReadOnlyCollection<ContextTag> contexts)
    {
        var asked = contexts.ToHashSet();
        var found = new Dictionary<ContextTag, Dictionary<HoldingProcess, int>>();
        foreach (var (descriptor, holders) in _holders)
        {
            // A device's file leads to no context of its own.
            var tag = descriptor.Opened.Handle.Key.Tag;
            if (descriptor.Leads.IsOfDevices || !asked.Contains(tag))
            {
                continue;
            }

            if (!found.TryGetValue(tag, out var counts))
            {
                found.Add(tag, counts = []);
            }

            foreach (var holder in holders)
            {
                counts[holder] = counts.GetValueOrDefault(holder) + 1;
            }
        }

        return [.. found.Select(context => new ContextPrograms(context.Key, Show(context.Value)))];
    }

    private static ProgramSummary[] Show(Dictionary<HoldingProcess, int> counts)
        => [.. counts.Where(count => !count.Key.IsGone).OrderByDescending(count => count.Value).ThenBy(count => count.Key.Process).Take(ContextSummary.MaxPrograms)
            .Select(count => new ProgramSummary(count.Key.Process, GatewayPeer.NameOf(count.Key.Process), count.Value))];
}

/// <summary>A process that has a descriptor.</summary>
/// <param name="Process">Its id.</param>
/// <param name="Life">When it began, which tells it from a later one with its id; null for one that had ended already.</param>
internal readonly record struct HoldingProcess(int Process, string? Life)
{
    public static HoldingProcess Of(int process) => new(process, ProcessLife.BeginOf(process));

    /// <summary>Whether it has ended.</summary>
    public bool IsGone => ProcessLife.BeginOf(Process) is var life && (life is null || life != Life);
}
