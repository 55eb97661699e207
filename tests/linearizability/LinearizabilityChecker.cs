namespace IommuFd.Linearizability;

/// <summary>Decides whether a history of one context could come from a service that runs one ioctl after the other.</summary>
/// <param name="specification">The specification of such a service.</param>
/// <param name="limits">How much a check may cost; null for the default.</param>
internal sealed class LinearizabilityChecker<TState>(ISpecification<TState> specification, CheckLimits? limits = null)
    where TState : IEquatable<TState>
{
    // Most histories are explained, or fail, with the first; only the last proves that nothing explains a history in which more unknowns
    // could be in a row.
    private static readonly int[] MostInARow = [1, 2, int.MaxValue];

    /// <summary>Checks a history.</summary>
    /// <exception cref="NotSupportedException">It has an ioctl that the specification does not cover.</exception>
    public LinearizabilityResult Check(History history)
    {
        var budget = new CheckBudget(limits ?? new CheckLimits());
        var result = (LinearizabilityResult?)null;
        foreach (var mostInARow in MostInARow)
        {
            var search = new LinearizabilitySearch<TState>(specification, budget, history.Entries, mostInARow);
            var found = search.Run();
            if (found.Verdict == Verdict.Linearizable)
            {
                return found;
            }

            // Keeps the result of the search that got furthest.
            result = result is null || found.Prefix.Count >= result.Prefix.Count ? found : result with { Verdict = found.Verdict, Steps = found.Steps, Elapsed = found.Elapsed };
            if (found.Verdict == Verdict.Unknown || !search.WasRestricted)
            {
                break;
            }
        }

        return result!;
    }
}
