using System.ComponentModel.DataAnnotations;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Configuration;

/// <summary>Modes, leases and limits of a silo's contexts.</summary>
public sealed class ContextOptions
{
    /// <summary>The configuration section.</summary>
    public const string Section = "Contexts";

    /// <summary>The mode of a context if its opener asks for none.</summary>
    public ContextMode DefaultMode { get; set; }

    /// <summary>How long a reference lives without a sign of life from its owner. Zero means forever.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "1.00:00:00")]
    public TimeSpan Lease { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// A snapshot is taken when the journal behind the last one exceeds this many bytes, or the last one's size if that is larger.
    /// </summary>
    [Range(0, int.MaxValue)]
    public int SnapshotAfterBytes { get; set; } = 256 * 1024;

    /// <summary>
    /// How long a program may take to say whether memory that it has mapped is there, when the memory is pinned. The context waits so long; then
    /// the memory counts as it was when it was mapped.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:00:30")]
    public TimeSpan ProgramPatience { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Whether a context calls the objects that are on its silo without a message, within its own turn, and keeps the small ones itself. Without it every call
    /// of an object is a message to its grain: slower, and otherwise the same.
    /// </summary>
    public bool CallsNearObjects { get; set; } = true;

    /// <summary>
    /// Maximum number of areas, and of reserved and allowed ranges, of an IOAS that has no activation of its own: its context keeps it, and calls it without
    /// a message. None is kept without <see cref="CallsNearObjects"/>.
    /// </summary>
    [Range(0, int.MaxValue)]
    public int MaxKeptAreas { get; set; } = 1024;

    /// <summary>Maximum number of objects in a context.</summary>
    [Range(1, int.MaxValue)]
    public int MaxObjects { get; set; } = 1 << 20;

    /// <summary>Maximum number of areas in all IOASes of a context together.</summary>
    [Range(1, int.MaxValue)]
    public int MaxAreas { get; set; } = 1 << 21;

    /// <summary>Maximum bytes of a session's requests and replies that are kept until they are settled.</summary>
    [Range(1, int.MaxValue)]
    public int MaxUnsettledBytes { get; set; } = 32 << 20;

    /// <summary>Maximum bytes of one request: a batch with its arguments and buffers.</summary>
    [Range(1024, IoctlLimits.MaxRequestBytes)]
    public int MaxRequestBytes { get; set; } = IoctlLimits.MaxRequestBytes;

    /// <summary>
    /// Maximum bytes that the answers to a batch could have, by what its ioctls ask. An answer is kept until it is settled, so more than
    /// <see cref="MaxUnsettledBytes"/> would keep other requests of its session waiting.
    /// </summary>
    [Range(2 * IoctlLimits.MaxBufferBytes, 4 * IoctlLimits.DefaultMaxAnswerBytes)]
    public int MaxAnswerBytes { get; set; } = IoctlLimits.DefaultMaxAnswerBytes;

    /// <summary>Maximum number of contexts of one opener on a silo; beyond that, EMFILE.</summary>
    [Range(1, int.MaxValue)]
    public int MaxContextsPerClient { get; set; } = 1 << 20;

    /// <summary>Maximum number of contexts on a silo; beyond that, ENFILE.</summary>
    [Range(1, int.MaxValue)]
    public int MaxContexts { get; set; } = 1 << 22;
}
