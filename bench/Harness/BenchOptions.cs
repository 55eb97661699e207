namespace IommuFd.Bench.Harness;

/// <summary>What a run is to measure, and how long.</summary>
/// <param name="Filter">How a section's name starts, or a part of rows' names; null for everything.</param>
/// <param name="IsQuick">Whether figures may be rough.</param>
/// <param name="JsonPath">Where the rows go as JSON; null for nowhere.</param>
internal sealed record BenchOptions(string? Filter, bool IsQuick, string? JsonPath)
{
    public const string Usage = "usage: dotnet run -c Release --project bench -- [filter] [--quick] [--json FILE]";

    /// <summary>Rounds of each measurement. Odd, so that the median is one of them.</summary>
    public int Rounds => IsQuick ? 3 : 15;

    /// <summary>How long a load runs in one round.</summary>
    public TimeSpan Round => TimeSpan.FromMilliseconds(IsQuick ? 30 : 100);

    /// <summary>How long a load runs before its first round, so that the JIT has done its work.</summary>
    public TimeSpan WarmUp => TimeSpan.FromMilliseconds(IsQuick ? 60 : 1_000);

    /// <summary>Repetitions of what is measured as one long operation.</summary>
    public int Repetitions => IsQuick ? 2 : 5;

    /// <summary>Activations whose memory is measured.</summary>
    public int IdleActivations => IsQuick ? 10_000 : 100_000;

    /// <summary>Reads the command line; null where it is no valid one.</summary>
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
