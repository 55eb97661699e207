using System.CommandLine;
using System.Text.Json;
using IommuFd.Cli.Conformance;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary>The results of all sequences, by group and command.</summary>
internal sealed class ConformanceTally
{
    private readonly SortedDictionary<(string Group, uint Command), (int Ioctls, int Mismatches)> _rows = [];
    private readonly List<Mismatch> _mismatches = [];
    private readonly int _listed;

    public ConformanceTally(int listed) => _listed = listed;

    public int Sequences { get; private set; }

    public int Ioctls { get; private set; }

    /// <summary>Reads, writes, polls and closes of files.</summary>
    public int FileSteps { get; private set; }

    public int MismatchCount { get; private set; }

    /// <summary>The mode of the contexts.</summary>
    public ContextMode Mode { get; private set; }

    /// <summary>The first mismatches, in full.</summary>
    public IReadOnlyList<Mismatch> Mismatches => _mismatches;

    /// <summary>One row for each command of the table, and one for each group's other ioctl numbers.</summary>
    public IEnumerable<(string Group, string Command, int Ioctls, int Mismatches)> Rows => _rows
        .GroupBy(row => (row.Key.Group, Command: Uapi.IoctlTable.Find(row.Key.Command) is null ? 0 : row.Key.Command))
        .Select(rows => (rows.Key.Group, rows.Key.Command == 0 ? "other numbers" : IoctlText.Name(rows.Key.Command),
            rows.Sum(row => row.Value.Ioctls), rows.Sum(row => row.Value.Mismatches)));

    public void Add(ReplayReport report)
    {
        Sequences++;
        Mode = report.Mode;
        FileSteps += report.FileSteps;
        foreach (var (command, count) in report.Ioctls)
        {
            var key = (report.Group, command);
            var (ioctls, mismatches) = _rows.GetValueOrDefault(key);
            _rows[key] = (ioctls + count, mismatches);
            Ioctls += count;
        }

        foreach (var (command, mismatch) in report.Mismatches)
        {
            var key = (report.Group, command);
            var (ioctls, mismatches) = _rows.GetValueOrDefault(key);
            _rows[key] = (ioctls, mismatches + 1);
            MismatchCount++;
            if (_mismatches.Count < _listed)
            {
                _mismatches.Add(mismatch);
            }
        }
    }
}

/// <summary><c>iommufd conformance PATH...</c>: replays traces of a real kernel.</summary>
internal static class ConformanceCommand
{
    private const int Parallel = 8;

    private static readonly JsonSerializerOptions JsonOptions = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    public static Command Create()
    {
        var paths = new Argument<string[]>("PATH") { Description = "Traces: .jsonl or .jsonl.gz files, or folders of them.", Arity = ArgumentArity.OneOrMore };
        var json = new Option<bool>("--json") { Description = "Writes one JSON object instead of tables." };
        var show = new Option<int>("--show") { Description = "How many mismatches to show in full.", DefaultValueFactory = _ => 5 };
        var command = new Command("conformance", "Replays recorded traces and compares every errno and byte with what Linux answered. Exit status 1 on any mismatch.")
        {
            paths, json, show, ConnectionOptions.DurableOption,
        };
        ConnectionOptions.AddTo(command);
        command.SetAction(async (options, cancellationToken) =>
        {
            await using var connection = await Connection.OpenAsync(options, cancellationToken);
            var client = connection.CreateClient(ConnectionOptions.ModeOf(options));
            var tally = await RunAsync(client, options.GetValue(paths)!, options.GetValue(show), cancellationToken: cancellationToken);
            if (options.GetValue(json))
            {
                WriteJson(tally);
            }
            else
            {
                WriteTable(tally);
            }

            return tally.MismatchCount == 0 ? 0 : 1;
        });
        return command;
    }

    /// <summary>Replays the sequences of all paths, several at a time, each on contexts of its own.</summary>
    public static async Task<ConformanceTally> RunAsync(
        IommufdClient client,
        IEnumerable<string> paths,
        int listed,
        Func<TraceSequence, int, ContextKey, Task>? beforeStep = null,
        CancellationToken cancellationToken = default)
    {
        var sequences = paths.SelectMany(TraceSequence.Read).ToList();
        var tally = new ConformanceTally(listed);
        await Progress.RunAsync("Replaying", sequences.Count, async done =>
            await System.Threading.Tasks.Parallel.ForEachAsync(
                sequences,
                new ParallelOptions { MaxDegreeOfParallelism = Parallel, CancellationToken = cancellationToken },
                async (sequence, token) =>
                {
                    var report = await TraceReplayer.ReplayAsync(client, sequence, beforeStep, token);
                    lock (tally)
                    {
                        tally.Add(report);
                        done();
                    }
                }));
        return tally;
    }

    private static void WriteTable(ConformanceTally tally)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("group").AddColumn("command")
            .AddColumn(new TableColumn("ioctls").RightAligned()).AddColumn(new TableColumn("mismatches").RightAligned());
        foreach (var (group, command, ioctls, mismatches) in tally.Rows)
        {
            table.AddRow(Terminal.Cell(group), command, $"{ioctls:N0}", mismatches == 0 ? "0" : $"[red]{mismatches:N0}[/]");
        }

        AnsiConsole.Write(table);
        foreach (var mismatch in tally.Mismatches)
        {
            Terminal.Line($"{mismatch.Group} seed {mismatch.Seed}, step {mismatch.Step}: {mismatch.Ioctl}");
            Terminal.Line($"    {mismatch.What}");
        }

        Terminal.Line($"{tally.Sequences:N0} sequences, {tally.Ioctls:N0} ioctls, {tally.FileSteps:N0} file steps, {tally.MismatchCount:N0} mismatches, on {(tally.Mode == ContextMode.Durable ? "durable" : "volatile")} contexts");
    }

    private static void WriteJson(ConformanceTally tally) => Terminal.Document(JsonSerializer.Serialize(
        new
        {
            tally.Sequences,
            tally.Ioctls,
            tally.FileSteps,
            Mismatches = tally.MismatchCount,
            Mode = tally.Mode.ToString(),
            Rows = tally.Rows.Select(row => new { row.Group, row.Command, row.Ioctls, row.Mismatches }),
            First = tally.Mismatches,
        },
        JsonOptions));
}
