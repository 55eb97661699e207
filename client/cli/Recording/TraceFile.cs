using System.IO.Compression;
using System.Text.Json;
using IommuFd.Cli.Conformance;

namespace IommuFd.Cli.Recording;

/// <summary>Writes sequences as files have them: one a line, with the members that a step needs, in the order of the recorded kernel's.</summary>
internal static class TraceFile
{
    /// <summary>Writes a sequence.</summary>
    /// <param name="output">Where it goes.</param>
    /// <param name="isCompressed">Whether it goes there gzipped.</param>
    /// <param name="sequence">The sequence.</param>
    public static void Write(Stream output, bool isCompressed, TraceSequence sequence)
    {
        using Stream content = isCompressed ? new GZipStream(output, CompressionLevel.Optimal, leaveOpen: true) : new BufferedStream(output);
        using (var json = new Utf8JsonWriter(content))
        {
            json.WriteStartObject();
            json.WriteString("group", sequence.Group);
            json.WriteNumber("seed", sequence.Seed);
            if (sequence.Args != TraceMemory.ArgsBytes)
            {
                json.WriteNumber("args", sequence.Args);
            }

            json.WriteStartArray("steps");
            foreach (var step in sequence.Steps)
            {
                json.WriteStartObject();
                Write(json, step);
                json.WriteEndObject();
                json.Flush();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        content.WriteByte((byte)'\n');
        content.Flush();
    }

    private static void Write(Utf8JsonWriter json, TraceStep step)
    {
        switch (step)
        {
            case { Open: { } number }:
                json.WriteNumber("open", number);
                return;
            case { Close: { } file }:
                json.WriteNumber("close", file);
                return;
            case { Read: { } file }:
                json.WriteNumber("read", file);
                json.WriteNumber("len", step.Length);
                WriteOutcome(json, step);
                WriteSome(json, "data", step.Data);
                return;
            case { Write: { } file }:
                json.WriteNumber("write", file);
                json.WriteString("data", step.Data);
                WriteOutcome(json, step);
                return;
            default:
                WriteIoctl(json, step);
                return;
        }
    }

    private static void WriteIoctl(Utf8JsonWriter json, TraceStep step)
    {
        json.WriteNumber("fd", step.Fd);
        json.WriteNumber("cmd", step.Command);
        if (step.Argument is { } argument)
        {
            json.WriteNumber("arg", argument);
        }
        else
        {
            json.WriteString("in", step.Input);
        }

        if (step.BadPointer != 0)
        {
            json.WriteNumber("badptr", step.BadPointer);
        }

        WriteSome(json, "mem", step.Memory);
        WriteOutcome(json, step);
        WriteSome(json, "out", step.Output);
        if (step.MemoryOutput is { } changed)
        {
            json.WritePropertyName("memout");
            changed.WriteTo(json);
        }
    }

    private static void WriteOutcome(Utf8JsonWriter json, TraceStep step)
    {
        json.WriteNumber("errno", step.Errno);
        if (step.ReturnValue > 0)
        {
            json.WriteNumber("rc", step.ReturnValue);
        }
    }

    private static void WriteSome(Utf8JsonWriter json, string name, string? hex)
    {
        if (!string.IsNullOrEmpty(hex))
        {
            json.WriteString(name, hex);
        }
    }
}
