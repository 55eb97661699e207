using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>The direction in which a holder graph is followed from an object.</summary>
[Flags]
public enum GraphDirection
{
    /// <summary>Nowhere: the object alone.</summary>
    None = 0,

    /// <summary>To its holders, and their holders, and so on: what must go before it can.</summary>
    Holders = 1,

    /// <summary>To the objects that it holds, and so on: what it keeps alive.</summary>
    Held = 2,

    /// <summary>Both directions from the object, without turning around.</summary>
    Both = Holders | Held,
}

/// <summary>Asks who holds whom.</summary>
/// <param name="Root">The object to start at; 0 for the whole context.</param>
/// <param name="Direction">Which direction to follow; ignored for the whole context.</param>
/// <param name="Limit">
/// At most this many nodes, 1 to <see cref="IoctlLimits.MaxInspectionPage"/>; more are cut to that. A graph of
/// <see cref="IoctlLimits.MaxPageBytes"/> is cut too.
/// </param>
[GenerateSerializer, Immutable, Alias("IommuFd.GraphRequest")]
public sealed record GraphRequest([property: Id(0)] ObjectId Root, [property: Id(1)] GraphDirection Direction, [property: Id(2)] int Limit);

/// <summary>An object, or a driver that holds objects.</summary>
/// <param name="Object">The object; of kind <see cref="ObjectType.Any"/> with id 0 where it is a driver.</param>
/// <param name="Reference">The driver's reference; 0 where it is an object.</param>
/// <param name="Name">The driver's name, or what people call the object; may be empty.</param>
/// <param name="Users">The object's users count: 1 for the table, and 1 for each that holds it. 0 where it is a driver.</param>
/// <param name="Style">How it is drawn.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.GraphNode")]
public sealed record GraphNode(
    [property: Id(0)] ObjectRef Object,
    [property: Id(1)] ReferenceId Reference,
    [property: Id(2)] string Name,
    [property: Id(3)] long Users,
    [property: Id(4)] DrawingStyle Style)
{
    /// <summary>Whether this is a driver.</summary>
    public bool IsDriver => Reference != default;

    /// <summary>What kind of node it is, in one word.</summary>
    /// <returns>For example <c>IOAS</c> or <c>driver</c>.</returns>
    public string Label() => IsDriver ? "driver" : Object.Type.Label();

    /// <summary>The driver, or the object with its name.</summary>
    /// <returns>For example <c>device 4 '0000:01:00.0'</c>.</returns>
    public override string ToString() => IsDriver ? $"driver '{Name}'" : Format.Named(Object, Name);
}

/// <summary>One users count: who holds whom, and why.</summary>
/// <param name="Holder">The holder, as an index into <see cref="HolderGraph.Nodes"/>.</param>
/// <param name="Held">The held object, likewise.</param>
/// <param name="Why">What the hold is for.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.GraphEdge")]
public readonly record struct GraphEdge([property: Id(0)] int Holder, [property: Id(1)] int Held, [property: Id(2)] string Why);

/// <summary>Who holds whom.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.HolderGraph")]
public sealed class HolderGraph
{
    /// <summary>0; EBADF without such a context, ENOENT without such an object.</summary>
    [Id(0)]
    public Errno Errno { get; init; }

    /// <summary>The objects and drivers. A requested object comes first, then nearer ones before farther ones.</summary>
    [Id(1)]
    public GraphNode[] Nodes { get; init; } = [];

    /// <summary>The holds between them.</summary>
    [Id(2)]
    public GraphEdge[] Edges { get; init; } = [];

    /// <summary>Whether there are more than the limit allows.</summary>
    [Id(3)]
    public bool IsTruncated { get; init; }
}
