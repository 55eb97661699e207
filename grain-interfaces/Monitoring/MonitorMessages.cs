using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What people see of a cluster who look at it from above: silos, their contexts, and what they have done in the last minutes. A silo counts for itself all the
// time, at next to no cost; grains and other silos are asked only while somebody looks.

/// <summary>Asks what the cluster does.</summary>
/// <param name="AfterSecond">Of the past, only seconds after this one (Unix time); 0 for all that is kept.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.OverviewRequest")]
public sealed record OverviewRequest([property: Id(0)] long AfterSecond);

/// <summary>What one silo did in one second.</summary>
/// <param name="Second">When it began, in seconds of Unix time.</param>
/// <param name="Ioctls">Ioctls that were answered, those in batches included.</param>
/// <param name="Errors">Those of them that failed.</param>
/// <param name="TurnTimes">How many of the turns that were timed took how long: by the buckets of <see cref="TurnTimeBuckets"/>; trailing zeros may be left out.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ActivitySample")]
public sealed record ActivitySample(
    [property: Id(0)] long Second, [property: Id(1)] long Ioctls, [property: Id(2)] long Errors, [property: Id(3)] long[] TurnTimes);

/// <summary>How many ioctls of a command got an errno, since the silo started.</summary>
/// <param name="Command">The full ioctl number; 0 for all numbers that are no command.</param>
/// <param name="Errno">The errno; 0 for success.</param>
/// <param name="Count">How many.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlCount")]
public readonly record struct IoctlCount([property: Id(0)] uint Command, [property: Id(1)] Errno Errno, [property: Id(2)] long Count);

/// <summary>How many objects of a kind there are.</summary>
/// <param name="Type">The kind.</param>
/// <param name="Count">How many.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectCount")]
public readonly record struct ObjectCount([property: Id(0)] ObjectType Type, [property: Id(1)] long Count);

/// <summary>A silo, and what it does.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.SiloOverview")]
public sealed record SiloOverview
{
    /// <summary>Its address, as membership has it.</summary>
    [Id(0)]
    public required string Address { get; init; }

    /// <summary>Its name, as membership has it.</summary>
    [Id(1)]
    public string Name { get; init; } = "";

    /// <summary>Its state, as membership has it: <c>Active</c>, <c>Joining</c>, <c>ShuttingDown</c>, <c>Dead</c>, ...</summary>
    [Id(2)]
    public string Status { get; init; } = "";

    /// <summary>Whether it answered when it was asked what it does. Nothing below is known where not.</summary>
    [Id(3)]
    public bool Answered { get; init; }

    /// <summary>When it started (UTC).</summary>
    [Id(4)]
    public DateTime Started { get; init; }

    /// <summary>Contexts that are open on it.</summary>
    [Id(5)]
    public long Contexts { get; init; }

    /// <summary>Those of them that are durable.</summary>
    [Id(6)]
    public long DurableContexts { get; init; }

    /// <summary>Objects of its contexts, by kind.</summary>
    [Id(7)]
    public ObjectCount[] Objects { get; init; } = [];

    /// <summary>Ioctls that it has answered, by command and errno.</summary>
    [Id(8)]
    public IoctlCount[] Ioctls { get; init; } = [];

    /// <summary>What it did in the last seconds, oldest first.</summary>
    [Id(9)]
    public ActivitySample[] Activity { get; init; } = [];
}

/// <summary>The cluster, and what it does.</summary>
/// <param name="Now">When this was taken, in seconds of Unix time.</param>
/// <param name="Silos">The silos, by address; those that have left are shown for as long as membership knows them.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ClusterOverview")]
public sealed record ClusterOverview([property: Id(0)] long Now, [property: Id(1)] SiloOverview[] Silos);

/// <summary>What contexts are sorted by.</summary>
public enum ContextOrder
{
    /// <summary>By the time they were opened.</summary>
    Opened = 0,

    /// <summary>By their openers' names.</summary>
    Opener,

    /// <summary>By their silos.</summary>
    Silo,

    /// <summary>By how many objects they have.</summary>
    Objects,

    /// <summary>By how many ioctls they have answered.</summary>
    Ioctls,

    /// <summary>By their modes.</summary>
    Mode,

    /// <summary>By when the first of their leases ends.</summary>
    Lease,
}

/// <summary>Asks for a page of the cluster's contexts.</summary>
/// <param name="Search">Only contexts whose tag, short handle, opener or silo has this text somewhere, in any case; empty for all.</param>
/// <param name="Order">What they are sorted by; those that are equal, by their tags.</param>
/// <param name="Descending">Whether the greatest comes first.</param>
/// <param name="Offset">How many are passed over, 0 to <see cref="MaxOffset"/>.</param>
/// <param name="Limit">At most so many, 1 to <see cref="MaxLimit"/>; more are cut to that.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextQuery")]
public sealed record ContextQuery(
    [property: Id(0)] string Search, [property: Id(1)] ContextOrder Order, [property: Id(2)] bool Descending, [property: Id(3)] int Offset, [property: Id(4)] int Limit)
{
    /// <summary>The furthest that pages go.</summary>
    public const int MaxOffset = 1 << 20;

    /// <summary>The most contexts of one page.</summary>
    public const int MaxLimit = 200;
}

/// <summary>A context, as a list shows it.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextSummary")]
public sealed record ContextSummary
{
    /// <summary>What it is called where people look.</summary>
    [Id(0)]
    public ContextTag Tag { get; init; }

    /// <summary>The start of its handle: <see cref="ContextHandle.ToShortString"/>.</summary>
    [Id(1)]
    public required string Handle { get; init; }

    /// <summary>Who opened it: the name of its oldest file.</summary>
    [Id(2)]
    public required string Opener { get; init; }

    /// <summary>The silo that runs it.</summary>
    [Id(3)]
    public required string Silo { get; init; }

    /// <summary>Whether it outlives its silo.</summary>
    [Id(4)]
    public ContextMode Mode { get; init; }

    /// <summary>When it was opened (UTC).</summary>
    [Id(5)]
    public DateTime Opened { get; init; }

    /// <summary>Its objects.</summary>
    [Id(6)]
    public int Objects { get; init; }

    /// <summary>Its references: files and drivers.</summary>
    [Id(7)]
    public int References { get; init; }

    /// <summary>Ioctls that it has answered since it came to its silo.</summary>
    [Id(8)]
    public long Ioctls { get; init; }

    /// <summary>What is left of the lease that ends first, unless it is renewed; null where leases don't end.</summary>
    [Id(9)]
    public TimeSpan? Lease { get; init; }
}

/// <summary>A page of contexts.</summary>
/// <param name="Total">Contexts that were found, on all pages.</param>
/// <param name="Contexts">The page.</param>
/// <param name="SilentSilos">Active silos that did not answer in time: their contexts are missing.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextPage")]
public sealed record ContextPage([property: Id(0)] long Total, [property: Id(1)] ContextSummary[] Contexts, [property: Id(2)] string[] SilentSilos);
