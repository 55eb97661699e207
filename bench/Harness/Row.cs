using System.Globalization;
using System.Text.Json.Serialization;

namespace IommuFd.Bench.Harness;

/// <summary>The target of a row.</summary>
internal sealed class Target
{
    /// <summary>No byte allocated.</summary>
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

    /// <summary>The unit of <see cref="Value"/>: <c>op/s</c>, <c>ns</c>, <c>ms</c>, <c>s</c> or <c>B</c>.</summary>
    public required string Unit { get; init; }

    public required Spread Value { get; init; }

    /// <summary>Managed bytes allocated per operation, by the caller's side and the silo together; null if that means nothing.</summary>
    public double? AllocatedBytes { get; init; }

    /// <summary>Processor time of this process per operation, in nanoseconds; null if that means nothing.</summary>
    public double? CpuNanoseconds { get; init; }

    /// <summary>Microseconds that half of the calls take at most; null for no calls.</summary>
    public double? Microseconds { get; init; }

    /// <summary>Microseconds that 99 of 100 calls take at most; null for no calls.</summary>
    public double? LateMicroseconds { get; init; }

    /// <summary>The yardstick it was measured against in the same rounds; null for none.</summary>
    public string? Yardstick { get; init; }

    public Spread? YardstickValue { get; init; }

    public double? YardstickAllocatedBytes { get; init; }

    public double? YardstickCpuNanoseconds { get; init; }

    public double? YardstickMicroseconds { get; init; }

    public double? YardstickLateMicroseconds { get; init; }

    /// <summary>The value divided by the yardstick's of the same round.</summary>
    public Spread? Ratio { get; init; }

    [JsonIgnore]
    public Target? Target { get; init; }

    [JsonPropertyName("target")]
    public string? TargetText => Target?.ToString();

    public bool? IsMet => Target?.IsMetBy(this);
}
