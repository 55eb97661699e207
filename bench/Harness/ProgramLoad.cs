using System.Diagnostics;
using System.Globalization;

namespace IommuFd.Bench.Harness;

/// <summary>A program of bench/programs that makes calls in a process of its own, for as long as it is told each time.</summary>
internal sealed class ProgramLoad : Load, IDisposable
{
    private readonly Process _process;
    private readonly List<(double Median, double Late)> _latencies = [];

    /// <param name="name">What is called.</param>
    /// <param name="environment">Further variables of the program.</param>
    /// <param name="arguments">The arguments of bench-client.</param>
    public ProgramLoad(string name, Dictionary<string, string> environment, params string[] arguments)
        : this("bench-client", name, environment, arguments)
    {
    }

    private ProgramLoad(string program, string name, Dictionary<string, string> environment, string[] arguments)
        : base(name)
        => _process = Start(program, environment, arguments);

    /// <summary>A program that drives an emulated device.</summary>
    public static ProgramLoad OfDevice(string name, Dictionary<string, string> environment, params string[] arguments) => new("bench-device", name, environment, arguments);

    /// <summary>Where make puts what is built of C.</summary>
    public static string Folder { get; } = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../bridge"));

    /// <summary>The median of a call's microseconds in each of the last rounds.</summary>
    public Spread MedianOf(int rounds) => Spread.Of(_latencies.TakeLast(rounds).Select(latency => latency.Median));

    /// <summary>The 99th percentile in each of the last rounds.</summary>
    public Spread LateOf(int rounds) => Spread.Of(_latencies.TakeLast(rounds).Select(latency => latency.Late));

    /// <summary>Starts a program that make has built.</summary>
    public static Process Start(string program, Dictionary<string, string> environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(Folder, program), arguments) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    /// <summary>Measures a program against another one, and ends both. A row says the rates, and two the times of a call.</summary>
    public static async Task CompareAsync(BenchRun run, string section, ProgramLoad yardstick, ProgramLoad subject, Target? target = null)
    {
        using (yardstick)
        using (subject)
        {
            await run.CompareAsync(section, yardstick, (subject, target));
            foreach (var (name, of) in new (string, Func<ProgramLoad, Spread>)[] { ("p50", load => load.MedianOf(run.Options.Rounds)), ("p99", load => load.LateOf(run.Options.Rounds)) })
            {
                run.Add(new Row { Section = section, Name = $"{subject.Name}: {name}", Unit = "µs", Value = of(subject), Yardstick = yardstick.Name, YardstickValue = of(yardstick) });
            }
        }
    }

    public override async Task<Rate> RunAsync(TimeSpan duration)
    {
        await _process.StandardInput.WriteLineAsync(duration.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture));
        await _process.StandardInput.FlushAsync();
        var line = await _process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException($"'{Name}' has ended instead of calling.");
        double[] figures = [.. line.Split(' ').Select(figure => double.Parse(figure, CultureInfo.InvariantCulture))];
        _latencies.Add((figures[2] / 1000, figures[3] / 1000));
        return new Rate(figures[0] / figures[1] * 1e9, 0, 0);
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}
