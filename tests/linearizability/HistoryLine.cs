using System.Text.Json;
using System.Text.Json.Serialization;

namespace IommuFd.Linearizability;

/// <summary>
/// A line of a history file. An operation has a line before it is sent, with the request, and one when its outcome is known;
/// <see cref="Operation"/> joins them. So an operation that its client did not survive is in the file, with an unknown outcome.
/// </summary>
internal sealed record HistoryLine
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    };

    public required long Operation { get; init; }

    public int? Client { get; init; }

    public long? Invoked { get; init; }

    public uint? Command { get; init; }

    /// <summary>The argument as sent, in hexadecimal.</summary>
    public string? Argument { get; init; }

    public long? Completed { get; init; }

    /// <summary>The errno's name.</summary>
    public string? Errno { get; init; }

    /// <summary>The bytes copied back, in hexadecimal; absent for none.</summary>
    public string? Answer { get; init; }

    /// <summary>Whether it is known not to have run, and never to run.</summary>
    public bool? NotRun { get; init; }

    public static HistoryLine? Parse(string line) => JsonSerializer.Deserialize<HistoryLine>(line, Options);

    public override string ToString() => JsonSerializer.Serialize(this, Options);
}
