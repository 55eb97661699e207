using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>The table of commands as WELCOME carries it, made from their descriptors: which parts of a caller's memory travel with each.</summary>
internal static class CommandTable
{
    private const int NoSelector = 0xFFFF;

    public static byte[] Bytes { get; } = Build();

    private static byte[] Build()
    {
        var writer = new FrameWriter();
        var commands = IoctlTable.All.Concat(VfioTable.All)
            .Where(command => command.Buffers.Count > 0 || command.Files.Count > 0 || command.Argument != IoctlArgument.Sized).ToList();
        writer.UInt16(commands.Count);
        writer.Reserved(6);
        foreach (var command in commands)
        {
            var files = command.Files.SelectMany(file => file.Selectors.Select(selector => (file.Offset, (UapiSelector?)selector)).DefaultIfEmpty((file.Offset, null))).ToArray();
            writer.UInt32(command.Number);
            writer.UInt16(command.MinSize);
            writer.Byte((byte)command.Buffers.Count);
            writer.Byte((byte)files.Length);
            writer.Byte((byte)command.Argument);
            writer.Reserved(3);
            foreach (var buffer in command.Buffers)
            {
                Write(writer, buffer);
            }

            foreach (var (offset, selector) in files)
            {
                writer.UInt16(offset);
                Write(writer, selector, gap: 0);
            }
        }

        return writer.Written.ToArray();
    }

    private static void Write(FrameWriter writer, UserBufferDescriptor buffer)
    {
        var (rule, a, b, factor) = buffer.Length;
        writer.Byte((byte)buffer.Access);
        writer.Byte((byte)rule);
        writer.UInt16(buffer.PointerOffset);
        writer.UInt16(a.Offset);
        writer.UInt16(b?.Offset ?? 0);
        writer.Byte((byte)a.Size);
        writer.Byte((byte)(b?.Size ?? 0));
        writer.UInt16(factor);
        Write(writer, buffer.Selector, gap: 2);
    }

    private static void Write(FrameWriter writer, UapiSelector? selector, int gap)
    {
        writer.UInt16(selector?.Offset ?? NoSelector);
        writer.Reserved(gap);
        writer.UInt32(selector?.Value ?? 0);
    }
}
