using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace IommuFd.Cli.Conformance;

// Recorded traces, in the format of tests/conformance/traces/README.md: one sequence per line, in plain or gzipped files.

/// <summary>One step of a sequence: an ioctl, the opening of another context, or what a program does with a file that an ioctl has opened.</summary>
internal sealed record TraceStep
{
    /// <summary>The number of the context to open; null for an ioctl.</summary>
    [JsonPropertyName("open")]
    public int? Open { get; init; }

    /// <summary>The descriptor of the file to read; null for other steps.</summary>
    [JsonPropertyName("read")]
    public int? Read { get; init; }

    /// <summary>The descriptor of the file to write; null for other steps.</summary>
    [JsonPropertyName("write")]
    public int? Write { get; init; }

    /// <summary>The descriptor of the file to poll; null for other steps.</summary>
    [JsonPropertyName("poll")]
    public int? Poll { get; init; }

    /// <summary>The descriptor of the file to close; null for other steps.</summary>
    [JsonPropertyName("close")]
    public int? Close { get; init; }

    /// <summary>Bytes to read.</summary>
    [JsonPropertyName("len")]
    public int Length { get; init; }

    /// <summary>What was read, or is written, hexadecimal.</summary>
    [JsonPropertyName("data")]
    public string Data { get; init; } = "";

    /// <summary>What poll reported.</summary>
    [JsonPropertyName("revents")]
    public ushort Revents { get; init; }

    /// <summary>The ioctl's third argument where it is a number and no pointer; null otherwise.</summary>
    [JsonPropertyName("arg")]
    public ulong? Argument { get; init; }

    /// <summary>Whether it is neither an ioctl nor the opening of a context.</summary>
    [JsonIgnore]
    public bool IsFileStep => (Read ?? Write ?? Poll ?? Close) is not null;

    /// <summary>The context that the ioctl goes to.</summary>
    [JsonPropertyName("fd")]
    public int Fd { get; init; }

    /// <summary>The full ioctl number.</summary>
    [JsonPropertyName("cmd")]
    public uint Command { get; init; }

    /// <summary>The argument before the call, hexadecimal.</summary>
    [JsonPropertyName("in")]
    public string Input { get; init; } = "";

    /// <summary>1 if the argument pointer itself is invalid.</summary>
    [JsonPropertyName("badptr")]
    public int BadPointer { get; init; }

    /// <summary>The user buffer before the call, hexadecimal.</summary>
    [JsonPropertyName("mem")]
    public string Memory { get; init; } = "";

    /// <summary>The errno that Linux answered; 0 on success.</summary>
    [JsonPropertyName("errno")]
    public int Errno { get; init; }

    /// <summary>The system call's return value if it is greater than 0.</summary>
    [JsonPropertyName("rc")]
    public int ReturnValue { get; init; }

    /// <summary>The argument after the call; null if it did not change.</summary>
    [JsonPropertyName("out")]
    public string? Output { get; init; }

    /// <summary>Offset and hexadecimal bytes of what else changed.</summary>
    [JsonPropertyName("memout")]
    public JsonElement? MemoryOutput { get; init; }
}

/// <summary>A recorded sequence. It starts with context 0 open.</summary>
internal sealed record TraceSequence
{
    [JsonPropertyName("group")]
    public string Group { get; init; } = "";

    [JsonPropertyName("seed")]
    public long Seed { get; init; }

    /// <summary>Bytes of the memory of the arguments.</summary>
    [JsonPropertyName("args")]
    public int Args { get; init; } = TraceMemory.ArgsBytes;

    [JsonPropertyName("steps")]
    public IReadOnlyList<TraceStep> Steps { get; init; } = [];

    /// <summary>Reads the sequences of a file (<c>.jsonl</c> or <c>.jsonl.gz</c>), or of every such file in a folder.</summary>
    public static IEnumerable<TraceSequence> Read(string path)
    {
        if (Directory.Exists(path))
        {
            return Directory.EnumerateFiles(path, "*.jsonl*").Order(StringComparer.Ordinal).SelectMany(ReadFile);
        }

        return File.Exists(path) ? ReadFile(path) : throw new CliException($"There is no file or folder '{path}'.");
    }

    private static IEnumerable<TraceSequence> ReadFile(string path)
    {
        using var file = File.OpenRead(path);
        using Stream content = path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(content);
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length > 0)
            {
                yield return Parse(path, number, line);
            }
        }
    }

    private static TraceSequence Parse(string path, int number, string line)
    {
        try
        {
            return JsonSerializer.Deserialize<TraceSequence>(line) ?? throw new JsonException("The line is null.");
        }
        catch (JsonException exception)
        {
            throw new CliException($"{path}, line {number}: {exception.Message}");
        }
    }
}
