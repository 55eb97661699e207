using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable.Pins;

/// <summary>Whose pages are pinned.</summary>
/// <param name="Source">The program that mapped them; null where that is not known.</param>
/// <param name="Account">What they count against.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinOwner")]
internal readonly record struct PinOwner([property: Id(0)] MemorySource? Source, [property: Id(1)] PinAccount Account)
{
    /// <summary>The owner of pages.</summary>
    public static PinOwner Of(IoptPages pages) => new(pages.Source, pages.Account);
}

/// <summary>How many pages of an owner are pinned.</summary>
/// <param name="Owner">The owner.</param>
/// <param name="Pages">Pages.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinCount")]
internal readonly record struct PinCount([property: Id(0)] PinOwner Owner, [property: Id(1)] long Pages);

/// <summary>An area or an access that pins a run of pages, or no longer does.</summary>
/// <param name="Owner">Whose pages they are.</param>
/// <param name="Pages">The pages.</param>
/// <param name="Run">Numbers of pages, from the first one's 0 on.</param>
/// <param name="Users">1 or -1.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinChange")]
internal readonly record struct PinChange(
    [property: Id(0)] PinOwner Owner, [property: Id(1)] PagesId Pages, [property: Id(2)] IovaRange Run, [property: Id(3)] int Users)
{
    /// <summary>One more user of the pages of a slice, or one less.</summary>
    public static PinChange Of(PagesSlice slice, int users) => new(PinOwner.Of(slice.Pages), slice.Pages.Id, slice.Run, users);
}

/// <summary>What an IOAS has pinned.</summary>
/// <param name="Own">Pages that one area of it alone can pin, by owner: all that it has pinned so now.</param>
/// <param name="Changes">What has changed of other pages, in order; null for nothing.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PinTally")]
internal sealed record PinTally([property: Id(0)] PinCount[] Own, [property: Id(1)] PinChange[]? Changes);
