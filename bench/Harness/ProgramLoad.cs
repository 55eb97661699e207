using System.Diagnostics;
using System.Globalization;

namespace IommuFd.Bench.Harness;

/// <summary>A program of bench/programs that makes calls in a process of its own, for as long as it is told each time.</summary>
internal sealed class ProgramLoad : Load, IDisposable
{
    private readonly Process _process;

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

    /// <summary>Measures a program against another one, and ends both. The processor time is that of this process, with the silo.</summary>
    public static async Task CompareAsync(BenchRun run, string section, ProgramLoad yardstick, ProgramLoad subject, Target? target = null)
    {
        using (yardstick)
        using (subject)
        {
            await run.CompareAsync(section, yardstick, (subject, target));
        }
    }

    public override async Task<Rate> RunAsync(TimeSpan duration)
    {
        var cpu = Environment.CpuUsage.TotalTime;
        await _process.StandardInput.WriteLineAsync(duration.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture));
        await _process.StandardInput.FlushAsync();
        var line = await _process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException($"'{Name}' has ended instead of calling.");
        double[] figures = [.. line.Split(' ').Select(figure => double.Parse(figure, CultureInfo.InvariantCulture))];
        return new Rate(figures[0] / figures[1] * 1e9, 0, (Environment.CpuUsage.TotalTime - cpu).TotalNanoseconds / figures[0], figures[2] / 1000, figures[3] / 1000);
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}
