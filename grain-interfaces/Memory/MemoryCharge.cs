namespace IommuFd.GrainInterfaces;

/// <summary>Tells a program's gateway how many pages of the program a context has pinned, or asks whether it may pin as many.</summary>
/// <param name="Memory">Which of the memories that the gateway knows (<see cref="MemorySource.Number"/>).</param>
/// <param name="Context">The context.</param>
/// <param name="Account">What the pages count against.</param>
/// <param name="Pages">All pages that the context has pinned then: not a difference, so that telling it twice changes nothing.</param>
/// <param name="IsFact">Whether they are pinned already: then no limit matters.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.MemoryCharge")]
public readonly record struct MemoryCharge(
    [property: Id(0)] long Memory, [property: Id(1)] ContextTag Context, [property: Id(2)] PinAccount Account, [property: Id(3)] long Pages, [property: Id(4)] bool IsFact);

/// <summary>Says whether a context may pin pages.</summary>
/// <param name="IsGranted">Whether they are charged.</param>
/// <param name="Locked">Pages that would be locked then, of the user or of the program.</param>
/// <param name="Limit">Pages that may be.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.MemoryVerdict")]
public sealed record MemoryVerdict([property: Id(0)] bool IsGranted, [property: Id(1)] long Locked = 0, [property: Id(2)] long Limit = 0);
