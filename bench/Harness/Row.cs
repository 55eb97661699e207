using System.Globalization;
using System.Text.Json.Serialization;

namespace IommuFd.Bench.Harness;

/// <summary>What a row is to reach.</summary>
internal sealed class Target
{
    /// <summary>Not one byte allocated.</summary>
    public static readonly Target NoAllocation = new("0 B", row => row.AllocatedBytes == 0);

    private readonly Func<Row, bool> _isMet;
    private readonly string _text;

    private Target(string text, Func<Row, bool> isMet)
    {
        _text = text;
        _isMet = isMet;
    }

    public static Target RatioAtLeast(double limit) => new(string.Create(CultureInfo.InvariantCulture, $">= {limit}"), row => row.Ratio?.Median >= limit);

    public static Target RatioAtMost(double limit) => new(string.Create(CultureInfo.InvariantCulture, $"<= {limit}"), row => row.Ratio?.Median <= limit);

    public static Target ValueAtLeast(double limit) => new(string.Create(CultureInfo.InvariantCulture, $">= {limit:#,0}"), row => row.Value.Median >= limit);

    public static Target ValueAtMost(double limit) => new(string.Create(CultureInfo.InvariantCulture, $"<= {limit:#,0}"), row => row.Value.Median <= limit);

    public bool IsMetBy(Row row) => _isMet(row);

    public override string ToString() => _text;
}

/// <summary>One line of the table.</summary>
internal sealed record Row
{
    public required string Section { get; init; }

    public required string Name { get; init; }

    /// <summary>What <see cref="Value"/> counts: <c>op/s</c>, <c>ns</c> or <c>B</c>.</summary>
    public required string Unit { get; init; }

    public required Spread Value { get; init; }

    /// <summary>Managed bytes that one operation allocates, on the caller's side and the silo's together; null where that says nothing.</summary>
    public double? AllocatedBytes { get; init; }

    /// <summary>What it was measured against, in the same rounds; null for nothing.</summary>
    public string? Yardstick { get; init; }

    public Spread? YardstickValue { get; init; }

    public double? YardstickAllocatedBytes { get; init; }

    /// <summary>The value by the yardstick's of the same round.</summary>
    public Spread? Ratio { get; init; }

    [JsonIgnore]
    public Target? Target { get; init; }

    [JsonPropertyName("target")]
    public string? TargetText => Target?.ToString();

    public bool? IsMet => Target?.IsMetBy(this);
}
