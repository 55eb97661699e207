using System.Buffers.Binary;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace IommuFd.Cli.Running;

/// <summary>Names places in programs' code: by function, file and line where there is debug information and addr2line, else by file and offset.</summary>
internal sealed class CodeNames
{
    private const uint Load = 1;

    private readonly Dictionary<CodePlace, string> _names = [];

    /// <summary>For example <c>main (busy.c:42)</c>, <c>helper (busy.c:12) in main (busy.c:40)</c> where it was inlined, or <c>busy+0x11a9</c>.</summary>
    public string Of(CodePlace place)
    {
        if (!_names.TryGetValue(place, out var name))
        {
            _names[place] = name = Find(place) ?? string.Create(CultureInfo.InvariantCulture, $"{(place.File.Length == 0 ? "unknown code" : Path.GetFileName(place.File))}+0x{place.Offset:x}");
        }

        return name;
    }

    private static string? Find(CodePlace place)
    {
        try
        {
            // The place is behind the call: the byte before belongs to it.
            if (place.File.Length == 0 || AddressOf(place.File, place.Offset - 1) is not { } address)
            {
                return null;
            }

            using var process = Process.Start(new ProcessStartInfo("addr2line", ["-f", "-C", "-i", "-e", place.File, string.Create(CultureInfo.InvariantCulture, $"0x{address:x}")])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            process.ErrorDataReceived += (_, _) => { };
            process.BeginErrorReadLine();
            var lines = process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
            process.WaitForExit();

            // A function and a line, and the same for each function that it was inlined into.
            return lines is ["??", ..] or [] ? null : string.Join(" in ", lines.Chunk(2).Select(frame => $"{frame[0]}{Line(frame[^1])}"));
        }
        catch (Exception exception) when (exception is Win32Exception or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // "/src/busy.c:42 (discriminator 1)"; "??:?" without debug information.
    private static string Line(string text)
    {
        if (text.StartsWith("??", StringComparison.Ordinal))
        {
            return "";
        }

        var full = Path.GetFullPath(text.Split(" (")[0]);
        var relative = Path.GetRelativePath(Environment.CurrentDirectory, full);
        return $" ({(relative.StartsWith("../", StringComparison.Ordinal) ? full : relative)})";
    }

    /// <summary>The address that an ELF file gives to a byte of it.</summary>
    private static ulong? AddressOf(string file, ulong offset)
    {
        using var stream = File.OpenRead(file);
        var header = new byte[64];
        stream.ReadExactly(header);
        var (size, count) = (BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(54)), BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(56)));
        var segments = new byte[size * count];
        stream.Position = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32));
        stream.ReadExactly(segments);
        for (var at = 0; at + 56 <= segments.Length; at += size)
        {
            var segment = segments.AsSpan(at);
            var (from, address, length) = (BinaryPrimitives.ReadUInt64LittleEndian(segment[8..]), BinaryPrimitives.ReadUInt64LittleEndian(segment[16..]), BinaryPrimitives.ReadUInt64LittleEndian(segment[32..]));
            if (BinaryPrimitives.ReadUInt32LittleEndian(segment) == Load && offset - from < length)
            {
                return address + (offset - from);
            }
        }

        return null;
    }
}
