using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What monitoring shows of a cluster: silos, their contexts, and their activity in the last minutes. Each silo always counts, at next to no
// cost; grains and other silos are asked only on request.

/// <summary>Asks for an overview of the cluster.</summary>
/// <param name="AfterSecond">Only seconds of the past after this one (Unix time); 0 for all that are kept.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.OverviewRequest")]
public sealed record OverviewRequest([property: Id(0)] long AfterSecond);

/// <summary>One silo's activity in one second.</summary>
/// <param name="Second">When it began, in seconds of Unix time.</param>
/// <param name="Ioctls">Number of ioctls answered, including those in batches.</param>
/// <param name="Errors">Number of these that failed.</param>
/// <param name="TurnTimes">The number of timed turns in each bucket of <see cref="TurnTimeBuckets"/>; trailing zeros may be left
/// out.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ActivitySample")]
public sealed record ActivitySample(
    [property: Id(0)] long Second, [property: Id(1)] long Ioctls, [property: Id(2)] long Errors, [property: Id(3)] long[] TurnTimes);

/// <summary>The number of ioctls of a command that got an errno since the silo started.</summary>
/// <param name="Command">The full ioctl number; 0 for all numbers that are not commands.</param>
/// <param name="Errno">The errno; 0 for success.</param>
/// <param name="Count">How many.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.IoctlCount")]
public readonly record struct IoctlCount([property: Id(0)] uint Command, [property: Id(1)] Errno Errno, [property: Id(2)] long Count);

/// <summary>The number of objects of a kind.</summary>
/// <param name="Type">The kind.</param>
/// <param name="Count">How many.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectCount")]
public readonly record struct ObjectCount([property: Id(0)] ObjectType Type, [property: Id(1)] long Count);

/// <summary>A silo and its activity.</summary>
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

    /// <summary>Whether it answered the monitor. If not, nothing below is set.</summary>
    [Id(3)]
    public bool Answered { get; init; }

    /// <summary>When it started (UTC).</summary>
    [Id(4)]
    public DateTime Started { get; init; }

    /// <summary>Number of contexts open on it.</summary>
    [Id(5)]
    public long Contexts { get; init; }

    /// <summary>Number of these that are durable.</summary>
    [Id(6)]
    public long DurableContexts { get; init; }

    /// <summary>Objects of its contexts, by kind.</summary>
    [Id(7)]
    public ObjectCount[] Objects { get; init; } = [];

    /// <summary>Ioctls that it has answered, by command and errno.</summary>
    [Id(8)]
    public IoctlCount[] Ioctls { get; init; } = [];

    /// <summary>Its activity in the last seconds, oldest first.</summary>
    [Id(9)]
    public ActivitySample[] Activity { get; init; } = [];

    /// <summary>Whether the store of its journals works, by what the silo has done with it last.</summary>
    [Id(10)]
    public JournalState Journal { get; init; }

    /// <summary>Why that fails; empty while it works.</summary>
    [Id(11)]
    public string JournalProblem { get; init; } = "";
}

/// <summary>The cluster and its activity.</summary>
/// <param name="Now">The time of the overview, in seconds of Unix time.</param>
/// <param name="Silos">The silos, by address; those that have left are listed as long as membership knows them.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ClusterOverview")]
public sealed record ClusterOverview([property: Id(0)] long Now, [property: Id(1)] SiloOverview[] Silos);

/// <summary>The order of a list of contexts.</summary>
public enum ContextOrder
{
    /// <summary>By the time they were opened.</summary>
    Opened = 0,

    /// <summary>By their openers' names.</summary>
    Opener,

    /// <summary>By their silos.</summary>
    Silo,

    /// <summary>By the number of their objects.</summary>
    Objects,

    /// <summary>By the number of ioctls they have answered.</summary>
    Ioctls,

    /// <summary>By their modes.</summary>
    Mode,

    /// <summary>By the end of their leases that expires first.</summary>
    Lease,
}

/// <summary>Asks for a page of the cluster's contexts.</summary>
/// <param name="Search">Only contexts whose tag, short handle, opener or silo contains this text, ignoring case; empty for all.</param>
/// <param name="Order">Their order; ties are ordered by tag.</param>
/// <param name="Descending">Whether the greatest come first.</param>
/// <param name="Offset">How many to skip, 0 to <see cref="MaxOffset"/>.</param>
/// <param name="Limit">At most this many, 1 to <see cref="MaxLimit"/>; more are cut to that.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextQuery")]
public sealed record ContextQuery(
    [property: Id(0)] string Search, [property: Id(1)] ContextOrder Order, [property: Id(2)] bool Descending, [property: Id(3)] int Offset, [property: Id(4)] int Limit)
{
    /// <summary>The maximum offset of a page. Each silo sends all contexts that the page may have or skip, so it bounds what that takes.</summary>
    public const int MaxOffset = 1 << 16;

    /// <summary>The maximum number of contexts in one page.</summary>
    public const int MaxLimit = 200;
}

/// <summary>A program that has descriptors of a context.</summary>
/// <param name="Process">Its process id, on the machine of the silo that it is connected to.</param>
/// <param name="Name">Its process's name, without control characters.</param>
/// <param name="Descriptors">How many it has: of the context itself, and of files that ioctls opened. Copies of one count once.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ProgramSummary")]
public sealed record ProgramSummary([property: Id(0)] int Process, [property: Id(1)] string Name, [property: Id(2)] int Descriptors);

/// <summary>A context in a list.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextSummary")]
public sealed record ContextSummary
{
    /// <summary>Its name where people see it.</summary>
    [Id(0)]
    public ContextTag Tag { get; init; }

    /// <summary>Its opener: the name of its oldest file.</summary>
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

    /// <summary>Number of its objects.</summary>
    [Id(6)]
    public int Objects { get; init; }

    /// <summary>Number of its references: files and drivers.</summary>
    [Id(7)]
    public int References { get; init; }

    /// <summary>Number of ioctls that it has answered since its activation on its silo.</summary>
    [Id(8)]
    public long Ioctls { get; init; }

    /// <summary>The time left of the lease that expires first unless renewed; null if leases don't expire.</summary>
    [Id(9)]
    public TimeSpan? Lease { get; init; }

    /// <summary>The programs that have descriptors of it, at most <see cref="MaxPrograms"/>, those with the most first. Clients that use the SDK have none.</summary>
    [Id(10)]
    public ProgramSummary[] Programs { get; init; } = [];

    /// <summary>How many programs of one context are listed.</summary>
    public const int MaxPrograms = 16;
}

/// <summary>A page of contexts.</summary>
/// <param name="Total">Number of matching contexts, on all pages.</param>
/// <param name="Contexts">The page.</param>
/// <param name="SilentSilos">Active silos that did not answer in time: their contexts are missing.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextPage")]
public sealed record ContextPage([property: Id(0)] long Total, [property: Id(1)] ContextSummary[] Contexts, [property: Id(2)] string[] SilentSilos);
