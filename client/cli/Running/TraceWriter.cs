using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using IommuFd.Cli.Faults;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Cli.Running;

/// <summary>Writes calls as lines: as strace does, or as JSON.</summary>
internal sealed class TraceWriter(Stream output, bool isJson) : IDisposable
{
    private readonly Stream _output = new BufferedStream(output);
    private bool _isBroken;

    /// <summary>Writes a call. Once the output can't be written, nothing is: the program goes on without its trace.</summary>
    public void Write(TraceRecord record) => WriteLine(isJson ? JsonText.Line(json => WriteFields(json, record)) : Plain.Line(Text(record)));

    /// <summary>Writes an access of a device that the IOMMU refused, likewise.</summary>
    public void Write(RecordedDmaFault fault) => WriteLine(isJson ? JsonText.Line(json => WriteFields(json, fault)) : Plain.Line(FaultView.TraceText(fault)));

    private void WriteLine(string line)
    {
        if (_isBroken)
        {
            return;
        }

        try
        {
            _output.Write(Encoding.UTF8.GetBytes(line));
            _output.WriteByte((byte)'\n');
            _output.Flush();
        }
        catch (IOException exception)
        {
            _isBroken = true;
            Terminal.Error($"iommufd run: the trace ends here: {exception.Message}");
        }
    }

    public void Dispose() => output.Dispose();

    /// <summary>A call in one line: <c>[pid 123] ioctl(3, IOMMU_DESTROY, {size=8, id=1}) = -1 EBUSY (Device or resource busy): IOAS 1 is held by device 2 &lt;23 µs&gt;</c>.</summary>
    public static string Text(TraceRecord record)
    {
        var who = record.Thread == record.Process ? $"pid {record.Process}" : $"pid {record.Process} thread {record.Thread}";
        var call = record.Kind switch
        {
            TraceKind.Ioctl => $"ioctl({record.Descriptor}, {record.CommandName}{(record.HasArgument ? $", {IoctlText.Decode(record.Known is null ? 0 : record.Command, record.Argument)}" : "")})",
            TraceKind.Open => $"open({record.Path})",
            TraceKind.Close => $"close({record.Descriptor})",
            _ => $"{Name(record)}({record.Descriptor}, {record.Command} bytes)",
        };
        var outcome = record.Errno != Errno.None ? $"-1 {record.Errno} ({Marshal.GetPInvokeErrorMessage((int)record.Errno)}){(record.Text.Length > 0 ? $": {record.Text}" : "")}"
            : record.Kind == TraceKind.Close ? $"0{(record.Result != 0 ? " (last copy)" : "")}"
            : !record.HasArgument ? $"{record.Result}"
            : $"{record.Result} {IoctlText.Changes(record.Known is null ? 0 : record.Command, record.Argument, record.Answer)}".TrimEnd();
        return $"[{who}] {call} = {outcome} <{Format.Duration(record.Nanoseconds)}>";
    }

    private static void WriteFields(Utf8JsonWriter json, RecordedDmaFault fault)
    {
        json.WriteString("call", "dmaFault");
        FaultView.WriteFields(json, fault);
    }

    private static void WriteFields(Utf8JsonWriter json, TraceRecord record)
    {
        json.WriteNumber("pid", record.Process);
        json.WriteNumber("tid", record.Thread);
        json.WriteNumber("startNanoseconds", record.StartNanoseconds);
        json.WriteNumber("nanoseconds", record.Nanoseconds);
        json.WriteString("call", Name(record));
        json.WriteNumber("fd", record.Descriptor);
        if (record.Kind == TraceKind.Ioctl)
        {
            json.WriteString("command", record.CommandName);
            json.WriteNumber("number", record.Command);
            if (record.HasArgument)
            {
                WriteFields(json, "argument", record.Known, record.Argument);
                WriteFields(json, "answer", record.Known, record.Answer);
            }
        }
        else if (record.Kind is TraceKind.Read or TraceKind.Write)
        {
            json.WriteNumber("bytes", record.Command);
        }

        if (record.Kind == TraceKind.Open)
        {
            json.WriteString("path", record.Path);
        }

        if (record.Kind == TraceKind.Close)
        {
            json.WriteBoolean("lastCopy", record.Result != 0);
        }

        json.WriteNumber("result", record.Errno != Errno.None ? -1 : record.Kind == TraceKind.Close ? 0 : record.Result);
        json.WriteString("errno", record.Errno == Errno.None ? null : record.Errno.ToString());
        json.WriteString("why", record.Text.Length == 0 ? null : record.Text);
        json.WriteStartObject("caller");
        json.WriteString("file", record.Caller.File.Length == 0 ? null : record.Caller.File);
        json.WriteNumber("offset", record.Caller.Offset);
        json.WriteEndObject();
    }

    private static void WriteFields(Utf8JsonWriter json, string name, IoctlDescriptor? command, byte[] argument)
    {
        if (command is null)
        {
            json.WriteString(name, Convert.ToHexStringLower(argument));
            return;
        }

        json.WriteStartObject(name);
        var member = "";
        foreach (var field in command.FieldsIn(argument).TakeWhile(field => field.Offset + field.Size <= argument.Length))
        {
            if (field.Member != member)
            {
                EnterMember(json, member, field.Member);
                member = field.Member;
            }

            if (field.IsSigned)
            {
                json.WriteNumber(field.Name, (int)field.Read(argument));
            }
            else
            {
                json.WriteNumber(field.Name, field.Read(argument));
            }
        }

        EnterMember(json, member, "");
        json.WriteEndObject();
    }

    // The fields of a union's member are an object in the argument's.
    private static void EnterMember(Utf8JsonWriter json, string left, string entered)
    {
        if (left.Length > 0)
        {
            json.WriteEndObject();
        }

        if (entered.Length > 0)
        {
            json.WriteStartObject(entered);
        }
    }

    private static string Name(TraceRecord record) => record.Kind.ToString().ToLowerInvariant();
}
