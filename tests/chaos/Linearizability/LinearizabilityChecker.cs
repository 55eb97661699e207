namespace IommuFd.Chaos.Linearizability;

/// <summary>Decides whether a history of one context could be that of a service which does one ioctl after the other.</summary>
/// <param name="specification">What such a service answers.</param>
/// <param name="limits">How much a check may cost; null for the usual.</param>
internal sealed class LinearizabilityChecker<TState>(ISpecification<TState> specification, CheckLimits? limits = null)
    where TState : IEquatable<TState>
{
    /// <summary>Checks a history.</summary>
    /// <exception cref="NotSupportedException">It has an ioctl that the specification says nothing about.</exception>
    public LinearizabilityResult Check(History history) => new LinearizabilitySearch<TState>(specification, limits ?? new CheckLimits(), history.Entries).Run();
}
