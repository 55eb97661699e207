using System.Globalization;
using System.Text;
using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>Writes ioctls as strace does.</summary>
public static class IoctlText
{
    /// <summary>The command's kernel name; the number where no command has it.</summary>
    /// <param name="command">A full ioctl number, as a program passed it.</param>
    /// <returns>For example <c>IOMMU_IOAS_MAP</c>.</returns>
    public static string Name(uint command) => IoctlTable.Find(command)?.Name ?? $"0x{command:X}";

    /// <summary>The fields of an argument, as far as the caller passed them, and the bytes beyond the known struct.</summary>
    /// <param name="command">A full ioctl number.</param>
    /// <param name="argument">The argument's bytes.</param>
    /// <returns>For example <c>{size=8, id=1}</c>. Reserved fields and output fields are left out where they are 0.</returns>
    public static string Decode(uint command, ReadOnlySpan<byte> argument)
    {
        if (IoctlTable.Find(command) is not { } descriptor)
        {
            return argument.IsEmpty ? "unreadable" : $"{{{Convert.ToHexStringLower(argument)}}}";
        }

        var text = new StringBuilder("{");
        foreach (var field in descriptor.FieldsIn(argument))
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

            text.Append(text.Length > 1 ? ", " : "").Append(field.Path).Append('=').Append(Number(descriptor, field, value));
        }

        if (argument.Length > descriptor.Size)
        {
            text.Append(", beyond=").Append(Convert.ToHexStringLower(argument[descriptor.Size..]));
        }

        return text.Append('}').ToString();
    }

    /// <summary>The fields that the reply changed.</summary>
    /// <param name="command">A full ioctl number.</param>
    /// <param name="before">The argument as it was sent.</param>
    /// <param name="after">The argument as the reply copied it back.</param>
    /// <returns>For example <c>{out_ioas_id=1}</c>; empty where nothing changed.</returns>
    public static string Changes(uint command, ReadOnlySpan<byte> before, ReadOnlySpan<byte> after)
    {
        var text = new StringBuilder();
        if (IoctlTable.Find(command) is not { } descriptor)
        {
            return "";
        }

        foreach (var field in descriptor.FieldsIn(before))
        {
            if (field.Offset + field.Size <= Math.Min(before.Length, after.Length) && field.Read(before) != field.Read(after))
            {
                text.Append(text.Length > 0 ? ", " : "").Append(field.Path).Append('=').Append(Number(descriptor, field, field.Read(after)));
            }
        }

        return text.Length == 0 ? "" : $"{{{text}}}";
    }

    /// <summary>An answered ioctl in one line.</summary>
    /// <param name="ioctl">The ioctl.</param>
    /// <returns>For example <c>IOMMU_DESTROY {size=8, id=1} = -1 EBUSY (IOAS 1 is held by device 2) &lt;12.3us&gt;</c>; an ioctl that was not timed has no time.</returns>
    public static string Describe(RecordedIoctl ioctl)
    {
        ArgumentNullException.ThrowIfNull(ioctl);
        var outcome = ioctl.Errno == Errno.None
            ? $"0 {Changes(ioctl.Command, ioctl.Argument, ioctl.Answer)}".TrimEnd()
            : $"-1 {ioctl.Errno}{(ioctl.Diagnostic is { } diagnostic ? $" ({DiagnosticText.Describe(diagnostic)})" : "")}";
        var time = ioctl.Nanoseconds < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" <{ioctl.Nanoseconds / 1000.0:0.0}us>");
        return $"{Name(ioctl.Command)} {Decode(ioctl.Command, ioctl.Argument)} = {outcome}{time}";
    }

    private static string Number(IoctlDescriptor descriptor, UapiField field, ulong value)
        => descriptor.Command == IommuCommand.TestCmd && field.Name == "op" && Enum.IsDefined((IommuTestOp)value) ? OpName((IommuTestOp)value)
            : field.IsSigned ? ((int)value).ToString(CultureInfo.InvariantCulture)
            : field.Size == 8 && value > 0xFFFF || field.Name.EndsWith("flags", StringComparison.Ordinal) ? $"0x{value:X}"
            : value.ToString(CultureInfo.InvariantCulture);

    // MdCheckMap is MD_CHECK_MAP, what stands behind IOMMU_TEST_OP_.
    private static string OpName(IommuTestOp op) => string.Concat(op.ToString().Select((letter, i) => i > 0 && char.IsUpper(letter) ? $"_{letter}" : char.ToUpperInvariant(letter).ToString()));
}
