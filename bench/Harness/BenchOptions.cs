namespace IommuFd.Bench.Harness;

/// <summary>What a run measures, and for how long.</summary>
/// <param name="Filter">The start of a section's name or a part of rows' names; null for everything.</param>
/// <param name="IsQuick">Whether figures may be rough.</param>
/// <param name="JsonPath">The file to write the rows to as JSON; null for none.</param>
internal sealed record BenchOptions(string? Filter, bool IsQuick, string? JsonPath)
{
    public const string Usage = "usage: dotnet run -c Release --project bench -- [filter] [--quick] [--json FILE]";

    /// <summary>Rounds of each measurement. Odd, so that the median is one of them.</summary>
    public int Rounds => IsQuick ? 3 : 15;

    /// <summary>How long a load runs in one round.</summary>
    public TimeSpan Round => TimeSpan.FromMilliseconds(IsQuick ? 30 : 100);

    /// <summary>How long a load runs before its first round, so that the JIT is done.</summary>
    public TimeSpan WarmUp => TimeSpan.FromMilliseconds(IsQuick ? 60 : 1_000);

    /// <summary>Repetitions of measurements that are one long operation.</summary>
    public int Repetitions => IsQuick ? 2 : 5;

    /// <summary>Number of activations whose memory is measured.</summary>
    public int IdleActivations => IsQuick ? 10_000 : 100_000;

    /// <summary>Parses the command line; null if it is invalid.</summary>
    public static BenchOptions? Parse(string[] args)
    {
        var options = new BenchOptions(null, false, null);
        for (var i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--quick":
                    options = options with { IsQuick = true };
                    break;

                case "--json" when i + 1 < args.Length:
                    options = options with { JsonPath = args[++i] };
                    break;

                case var filter when options.Filter is null && !filter.StartsWith('-'):
                    options = options with { Filter = filter };
                    break;

                default:
                    return null;
            }
        }

        return options;
    }

    /// <summary>Whether the filter selects a row.</summary>
    public bool Selects(string section, string name)
        => Filter is null || section.StartsWith(Filter, StringComparison.OrdinalIgnoreCase) || name.Contains(Filter, StringComparison.OrdinalIgnoreCase);
}
