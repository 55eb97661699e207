using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

/// <summary>Knows the programs whose descriptors lead to contexts: those of a silo's gateway. A silo without one has none.</summary>
public interface IProgramDirectory
{
    /// <summary>The programs that have descriptors of some contexts, which may run on other silos.</summary>
    /// <param name="contexts">The contexts.</param>
    /// <returns>The programs of those contexts that have some.</returns>
    IReadOnlyList<ContextPrograms> ProgramsOf(IReadOnlyCollection<ContextTag> contexts);
}

/// <summary>The programs that have descriptors of a context.</summary>
/// <param name="Context">The context.</param>
/// <param name="Programs">At most <see cref="ContextSummary.MaxPrograms"/>, those with the most descriptors first.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextPrograms")]
public sealed record ContextPrograms([property: Id(0)] ContextTag Context, [property: Id(1)] ProgramSummary[] Programs);
