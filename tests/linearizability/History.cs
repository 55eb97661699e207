using System.Text.Json;
using IommuFd.Uapi;

namespace IommuFd.Linearizability;

/// <summary>A file is not a history; says which line is wrong.</summary>
internal sealed class HistoryFormatException(string path, int line, string reason, Exception? inner = null)
    : FormatException($"{path}, line {line}: {reason}", inner);

/// <summary>What all clients of one context observed, in the order in which the operations were sent.</summary>
internal sealed class History
{
    public History(IEnumerable<HistoryEntry> entries) => Entries = [.. entries.OrderBy(entry => entry.Invoked)];

    public IReadOnlyList<HistoryEntry> Entries { get; }

    /// <summary>Reads the history files of all client processes of a context.</summary>
    /// <param name="paths">The files, as <see cref="HistoryWriter"/> writes them.</param>
    /// <exception cref="HistoryFormatException">A line is not a history's. A last line that was cut off by the end of its process is
    /// skipped.</exception>
    public static History Read(IEnumerable<string> paths) => new(paths.SelectMany(ReadFile));

    /// <summary>Reads one file.</summary>
    public static IReadOnlyCollection<HistoryEntry> ReadFile(string path)
    {
        // Text after the last line feed was not fully written: if it was an ioctl's first line, the ioctl was not sent.
        var text = File.ReadAllText(path);
        var lines = text[..(text.LastIndexOf('\n') + 1)].Split('\n')[..^1];
        var entries = new Dictionary<long, HistoryEntry>();
        for (var i = 0; i < lines.Length; i++)
        {
            try
            {
                Add(entries, HistoryLine.Parse(lines[i]) ?? throw new FormatException("it is null."));
            }
            catch (Exception exception) when (exception is JsonException or FormatException or ArgumentException)
            {
                throw new HistoryFormatException(path, i + 1, exception.Message, exception);
            }
        }

        return entries.Values;
    }

    private static void Add(Dictionary<long, HistoryEntry> entries, HistoryLine line)
    {
        switch (line)
        {
            case { Client: { } client, Invoked: { } invoked, Command: { } command, Argument: { } argument, Completed: null, Errno: null, Answer: null, NotRun: null }:
                var entry = new HistoryEntry { Client = client, Invoked = invoked, Ioctl = new Ioctl(command, Convert.FromHexString(argument)) };
                Require(entries.TryAdd(line.Operation, entry), $"operation {line.Operation} was sent before.");
                break;

            case { Completed: { } completed, Errno: { } errno, Client: null, Invoked: null, Command: null, Argument: null, NotRun: null }:
                var sent = Pending(entries, line.Operation);
                Require(completed >= sent.Invoked, $"operation {line.Operation} was answered before it was sent.");
                Require(Enum.TryParse<Errno>(errno, out var known) && Enum.IsDefined(known), $"there is no errno {errno}.");
                entries[line.Operation] = sent with { Completed = completed, Answer = new IoctlAnswer(known, Convert.FromHexString(line.Answer ?? "")) };
                break;

            case { NotRun: true, Client: null, Invoked: null, Command: null, Argument: null, Completed: null, Errno: null, Answer: null }:
                Pending(entries, line.Operation);
                entries.Remove(line.Operation);
                break;

            default:
                throw new FormatException("it says neither what was sent, nor what was answered, nor that nothing ran.");
        }
    }

    private static HistoryEntry Pending(Dictionary<long, HistoryEntry> entries, long operation)
    {
        Require(entries.TryGetValue(operation, out var entry), $"operation {operation} was not sent.");
        Require(entry!.Completed is null, $"operation {operation} was answered before.");
        return entry;
    }

    private static void Require(bool condition, string otherwise)
    {
        if (!condition)
        {
            throw new FormatException(otherwise);
        }
    }
}
