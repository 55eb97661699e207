using IommuFd.Client;

namespace IommuFd.Bench.Harness;

/// <summary>How many rounds loads run in, and for how long.</summary>
/// <param name="Rounds">The number of rounds. Odd, so that the median is one of them.</param>
/// <param name="Round">The length of a round.</param>
/// <param name="AddsCpu">Whether each load gets a second row with the processor time spent on it.</param>
internal readonly record struct Pace(int Rounds, TimeSpan Round, bool AddsCpu = false);

/// <summary>A run: the grains it measures, its options, and the report for its rows.</summary>
internal sealed class BenchRun(IGrainFactory grains, BenchOptions options, Report report)
{
    public IGrainFactory Grains { get; } = grains;

    public IommufdClient Client { get; } = new(grains);

    public BenchOptions Options { get; } = options;

    public void Add(Row row) => report.Add(row);

    /// <summary>
    /// Measures loads against a yardstick: each runs once per round, every other round in reverse order, so that whatever else the machine
    /// does affects all alike. Ratios are taken within a round.
    /// </summary>
    public Task CompareAsync(string section, Load yardstick, params (Load Load, Target? Target)[] subjects)
        => CompareAsync(section, new Pace(Options.Rounds, Options.Round), yardstick, subjects);

    /// <summary>Measures loads against a yardstick, at a given pace: small differences need more rounds than ratios do.</summary>
    /// <param name="section">The section.</param>
    /// <param name="pace">The number and length of rounds.</param>
    /// <param name="yardstick">What the others are measured against.</param>
    /// <param name="subjects">The others.</param>
    public async Task CompareAsync(string section, Pace pace, Load yardstick, params (Load Load, Target? Target)[] subjects)
    {
        subjects = [.. subjects.Where(subject => Options.Selects(section, subject.Load.Name))];
        if (subjects.Length == 0)
        {
            return;
        }

        Load[] loads = [yardstick, .. subjects.Select(subject => subject.Load)];
        foreach (var load in loads)
        {
            await load.RunAsync(Options.WarmUp);
        }

        GC.Collect();
        var rates = await RunRoundsAsync(loads, pace);
        for (var i = 0; i < subjects.Length; i++)
        {
            Add(new Row
            {
                Section = section,
                Name = subjects[i].Load.Name,
                Unit = "op/s",
                Value = PerSecond(rates[i + 1]),
                AllocatedBytes = AllocatedBytes(rates[i + 1]),
                CpuNanoseconds = Median(rates[i + 1], rate => rate.CpuNanoseconds),
                Microseconds = Median(rates[i + 1], rate => rate.Median),
                LateMicroseconds = Median(rates[i + 1], rate => rate.Late),
                Yardstick = yardstick.Name,
                YardstickValue = PerSecond(rates[0]),
                YardstickAllocatedBytes = AllocatedBytes(rates[0]),
                YardstickCpuNanoseconds = Median(rates[0], rate => rate.CpuNanoseconds),
                YardstickMicroseconds = Median(rates[0], rate => rate.Median),
                YardstickLateMicroseconds = Median(rates[0], rate => rate.Late),
                Ratio = Spread.Of(rates[i + 1].Zip(rates[0], (rate, reference) => rate.PerSecond / reference.PerSecond)),
                Target = subjects[i].Target,
            });
            if (pace.AddsCpu)
            {
                AddCpu(section, subjects[i].Load.Name, yardstick.Name, rates[i + 1], rates[0]);
            }
        }
    }

    private void AddCpu(string section, string name, string yardstick, Rate[] rates, Rate[] references) => Add(new Row
    {
        Section = section,
        Name = $"{name}: processor time",
        Unit = "ns",
        Value = Spread.Of(rates.Select(rate => rate.CpuNanoseconds)),
        Yardstick = yardstick,
        YardstickValue = Spread.Of(references.Select(rate => rate.CpuNanoseconds)),
        Ratio = Spread.Of(rates.Zip(references, (rate, reference) => rate.CpuNanoseconds / reference.CpuNanoseconds)),
    });

    private static Spread PerSecond(Rate[] rates) => Spread.Of(rates.Select(rate => rate.PerSecond));

    private static double AllocatedBytes(Rate[] rates) => Math.Round(Median(rates, rate => rate.AllocatedBytes));

    private static double Median(Rate[] rates, Func<Rate, double> of) => Spread.Of(rates.Select(of)).Median;

    private static async Task<Rate[][]> RunRoundsAsync(Load[] loads, Pace pace)
    {
        Rate[][] rates = [.. loads.Select(_ => new Rate[pace.Rounds])];
        for (var round = 0; round < pace.Rounds; round++)
        {
            for (var i = 0; i < loads.Length; i++)
            {
                var next = round % 2 == 0 ? i : loads.Length - 1 - i;
                rates[next][round] = await loads[next].RunAsync(pace.Round);
            }
        }

        return rates;
    }
}
