using System.Globalization;
using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// Numbers and names as people read them, the same in the command line, on the dashboard and in messages, whatever the culture of the process.

/// <summary>Formats what people read.</summary>
internal static class Format
{
    /// <summary>Stands where there is no value.</summary>
    public const string Missing = "–";

    private static readonly string[] ByteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    private static readonly string[] CountUnits = ["", "k", "M", "G", "T"];

    /// <summary>A count: <c>12,345</c>.</summary>
    public static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>A count of something: <c>1 area</c>, <c>2 areas</c>, <c>3 accesses</c>.</summary>
    public static string Count(long count, string noun) => $"{Count(count)} {noun}{(count == 1 ? "" : noun.EndsWith('s') ? "es" : "s")}";

    /// <summary>The programs of a context with their descriptors: <c>qemu[4711]: 2, vfio-user[4712]: 1</c>; <see cref="Missing"/> for none.</summary>
    public static string Programs(IReadOnlyCollection<ProgramSummary> programs)
        => programs.Count == 0 ? Missing : string.Join(", ", programs.Select(program => string.Create(CultureInfo.InvariantCulture, $"{program.Name}[{program.Process}]: {program.Descriptors}")));

    /// <summary>A count in three digits and a unit: <c>12.4 k</c>.</summary>
    public static string ShortCount(double count)
    {
        var unit = 0;
        for (; count >= 1000 && unit < CountUnits.Length - 1; unit++)
        {
            count /= 1000;
        }

        return $"{Digits(count)}{(unit == 0 ? "" : " ")}{CountUnits[unit]}";
    }

    /// <summary>An address: <c>0xFEE00000</c>.</summary>
    public static string Hex(ulong value) => $"0x{value:X}";

    /// <summary>Bytes with a unit: <c>1.5 MiB</c>. 0 is no byte; the overload for ranges knows a length of 2^64.</summary>
    public static string Bytes(ulong bytes)
    {
        var size = (double)bytes;
        var unit = 0;
        for (; size >= 1024 && unit < ByteUnits.Length - 1; unit++)
        {
            size /= 1024;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{size:0.##} {ByteUnits[unit]}");
    }

    /// <summary>The bytes of a range, with a unit.</summary>
    public static string Bytes(IovaRange range) => range == IovaRange.All ? "16 EiB" : Bytes(range.LengthBytes);

    /// <summary>A time that something took: <c>12.3 µs</c>; <see cref="Missing"/> where it is not known.</summary>
    public static string Duration(TimeSpan? time) => time is { } known ? Duration(known.TotalNanoseconds) : Missing;

    /// <summary>A time in nanoseconds; a negative one is not known.</summary>
    public static string Duration(double nanoseconds) => nanoseconds switch
    {
        < 0 => Missing,
        < 1e3 => $"{Digits(nanoseconds)} ns",
        < 1e6 => $"{Digits(nanoseconds / 1e3)} µs",
        < 1e9 => $"{Digits(nanoseconds / 1e6)} ms",
        _ => $"{Digits(nanoseconds / 1e9)} s",
    };

    /// <summary>How long something has lasted or will last, in its two largest units: <c>3 min 20 s</c>.</summary>
    public static string Span(TimeSpan time)
    {
        time = time < TimeSpan.Zero ? TimeSpan.Zero : time;
        return time switch
        {
            { TotalSeconds: < 60 } => $"{(int)time.TotalSeconds} s",
            { TotalMinutes: < 60 } => $"{(int)time.TotalMinutes} min {time.Seconds} s",
            { TotalHours: < 24 } => $"{(int)time.TotalHours} h {time.Minutes} min",
            _ => $"{(int)time.TotalDays} d {time.Hours} h",
        };
    }

    /// <summary>What DMA may do with memory: <c>rw</c>, <c>r-</c>.</summary>
    public static string Access(IommuIoasMapFlags flags)
        => $"{(flags.HasFlag(IommuIoasMapFlags.Readable) ? 'r' : '-')}{(flags.HasFlag(IommuIoasMapFlags.Writeable) ? 'w' : '-')}";

    /// <summary>What an area maps: the caller's address, or the file and the offset in it.</summary>
    public static string Memory(IoasArea area) => area.File is { } file ? $"{file.Identity} at {Hex(area.Address)}{(area.IsRevoked ? ", revoked" : "")}" : Hex(area.Address);

    public static string Mode(ContextMode mode) => mode == ContextMode.Durable ? "durable" : "volatile";

    public static string Kind(ReferenceKind kind) => kind == ReferenceKind.File ? "file" : "driver";

    /// <summary>A silo's state as membership has it, unless an active silo did not answer.</summary>
    public static string State(SiloOverview silo) => silo is { Status: "Active", Answered: false } ? "does not answer" : silo.Status;

    /// <summary>A silo's address and port, without Orleans' letter before them and the start time after them: <c>127.0.0.1:11111</c>.</summary>
    /// <param name="address">The address, as membership has it.</param>
    public static string Endpoint(string address)
    {
        var text = address.StartsWith('S') ? address[1..] : address;
        var last = text.LastIndexOf(':');
        return last > 0 && text.LastIndexOf(':', last - 1) > 0 && !text.EndsWith(']') ? text[..last] : text;
    }

    /// <summary>An object with the name that people gave it, if any: <c>device 4 '0000:01:00.0'</c>.</summary>
    public static string Named(ObjectRef item, string name) => name.Length == 0 ? $"{item}" : $"{item} '{name}'";

    /// <summary>A noun with its article: <c>an IOAS</c>, <c>a device</c>.</summary>
    public static string WithArticle(string noun) => $"{(noun.Length > 0 && "aeiouAEIOU".Contains(noun[0], StringComparison.Ordinal) ? "an" : "a")} {noun}";

    /// <summary>The first items of a list, and how many more there are: <c>HWPT 3, device 4 and 7 more</c>.</summary>
    /// <param name="listed">The first ones.</param>
    /// <param name="total">How many there are.</param>
    public static string List<T>(IReadOnlyCollection<T> listed, long total)
        => $"{string.Join(", ", listed)}{(total > listed.Count ? $" and {Count(total - listed.Count)} more" : "")}";

    /// <summary>A sentence's beginning in upper case.</summary>
    public static string Capitalized(string text) => text.Length == 0 ? text : $"{char.ToUpperInvariant(text[0])}{text[1..]}";

    private static string Digits(double value)
        => value.ToString(value >= 100 || value == Math.Floor(value) ? "0" : value >= 10 ? "0.#" : "0.##", CultureInfo.InvariantCulture);
}
