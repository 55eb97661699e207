using System.ComponentModel.DataAnnotations;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Configuration;

/// <summary>What a silo grants its contexts.</summary>
public sealed class ContextOptions
{
    /// <summary>The section of the configuration.</summary>
    public const string Section = "Contexts";

    /// <summary>The mode of a context whose opener asks for none.</summary>
    public ContextMode DefaultMode { get; set; }

    /// <summary>How long a reference lives without a sign of life of its owner. Zero is for ever.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "1.00:00:00")]
    public TimeSpan Lease { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>Bytes of journal behind the last snapshot, from which on the next one is taken; where that was larger, as many bytes as it has.</summary>
    [Range(0, int.MaxValue)]
    public int SnapshotAfterBytes { get; set; } = 256 * 1024;

    /// <summary>Objects that a context can have.</summary>
    [Range(1, int.MaxValue)]
    public int MaxObjects { get; set; } = 1 << 20;

    /// <summary>Areas that the IOASes of a context can have together.</summary>
    [Range(1, int.MaxValue)]
    public int MaxAreas { get; set; } = 1 << 21;

    /// <summary>Bytes of requests and answers of a session that are kept until they are settled.</summary>
    [Range(1, int.MaxValue)]
    public int MaxUnsettledBytes { get; set; } = 32 << 20;

    /// <summary>Bytes of one request: a batch, with its arguments and buffers.</summary>
    [Range(1024, int.MaxValue)]
    public int MaxRequestBytes { get; set; } = 64 << 20;

    /// <summary>Contexts that one opener can have on a silo: more are EMFILE.</summary>
    [Range(1, int.MaxValue)]
    public int MaxContextsPerClient { get; set; } = 1 << 20;

    /// <summary>Contexts that a silo can have: more are ENFILE.</summary>
    [Range(1, int.MaxValue)]
    public int MaxContexts { get; set; } = 1 << 22;
}
