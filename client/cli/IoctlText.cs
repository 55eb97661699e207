using System.Globalization;
using System.Text;
using IommuFd.Uapi;

namespace IommuFd.Cli;

/// <summary>Writes ioctls as a person would want to read them, in the manner of strace.</summary>
internal static class IoctlText
{
    /// <summary>The command's kernel name, or the number where there is none.</summary>
    public static string Name(uint command) => IoctlTable.Find(command)?.Name ?? $"0x{command:X}";

    /// <summary>The fields of an argument, as far as the caller passed them, and what is behind them.</summary>
    public static string Decode(uint command, ReadOnlySpan<byte> argument)
    {
        if (IoctlTable.Find(command) is not { } descriptor)
        {
            return argument.IsEmpty ? "unreadable" : $"{{{Convert.ToHexStringLower(argument)}}}";
        }

        var text = new StringBuilder("{");
        foreach (var field in descriptor.Fields)
        {
            if (field.Offset + field.Size > argument.Length)
            {
                break;
            }

            var value = field.Read(argument);
            if (value == 0 && (field.IsReserved || field.Name.StartsWith("out_", StringComparison.Ordinal)))
            {
                continue;
            }

            text.Append(text.Length > 1 ? ", " : "").Append(field.Name).Append('=').Append(Number(field, value));
        }

        if (argument.Length > descriptor.Size)
        {
            text.Append(", behind=").Append(Convert.ToHexStringLower(argument[descriptor.Size..]));
        }

        return text.Append('}').ToString();
    }

    /// <summary>The fields that a reply changed.</summary>
    public static string Changes(uint command, ReadOnlySpan<byte> before, ReadOnlySpan<byte> after)
    {
        var text = new StringBuilder();
        foreach (var field in IoctlTable.Find(command)?.Fields ?? [])
        {
            if (field.Offset + field.Size <= Math.Min(before.Length, after.Length) && field.Read(before) != field.Read(after))
            {
                text.Append(text.Length > 0 ? ", " : "").Append(field.Name).Append('=').Append(Number(field, field.Read(after)));
            }
        }

        return text.Length == 0 ? "" : $"{{{text}}}";
    }

    private static string Number(UapiField field, ulong value)
        => field.IsSigned ? ((int)value).ToString(CultureInfo.InvariantCulture)
            : field.Size == 8 && value > 0xFFFF || field.Name == "flags" ? $"0x{value:X}"
            : value.ToString(CultureInfo.InvariantCulture);
}
