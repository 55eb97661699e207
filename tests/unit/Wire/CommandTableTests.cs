using System.Buffers.Binary;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Wire;

/// <summary>The table of commands that WELCOME carries, taken apart as docs/protocol.md says, is what IoctlTable says.</summary>
public sealed class CommandTableTests
{
    private const int NoSelector = 0xFFFF;

    private static readonly Dictionary<uint, Entry> Table = Decode(CommandTable.Bytes);

    [Fact]
    public void The_table_has_the_commands_with_buffers_files_or_another_argument_and_no_other()
        => Expect.Sequence(
            VfioTable.All.Concat(IoctlTable.All.Where(command => command.Buffers.Count > 0 || command.Files.Count > 0)).Select(command => command.Number), Table.Keys.Order(), "the commands of the table");

    [Fact]
    public void Each_buffer_is_described()
    {
        foreach (var (command, entry) in Table)
        {
            var descriptor = IoctlTable.Find(command)!;
            Expect.Equal(descriptor.MinSize, entry.Minimum, $"{descriptor.Name}: minimum size");
            Expect.Equal(descriptor.Buffers.Count, entry.Buffers.Length, $"{descriptor.Name}: buffers");
            foreach (var (expected, actual) in descriptor.Buffers.Zip(entry.Buffers))
            {
                var what = $"{descriptor.Name}, {expected.PointerField}";
                Expect.Equal((int)expected.Access, actual.Access, $"{what}: access");
                Expect.Equal(expected.PointerOffset, actual.Pointer, $"{what}: offset of the pointer");
                Expect.Equal((expected.Selector?.Offset ?? NoSelector, expected.Selector?.Value ?? 0), (actual.Selector, actual.Selected), $"{what}: selector");
            }
        }
    }

    [Fact]
    public void Each_file_is_described()
    {
        foreach (var descriptor in IoctlTable.All.Where(command => command.Files.Count > 0))
        {
            var files = descriptor.Files.SelectMany(file => file.Selectors.Count == 0 ? [(file.Offset, NoSelector, 0u)] : file.Selectors.Select(selector => (file.Offset, selector.Offset, selector.Value)));
            Expect.Sequence(files, Table[(uint)descriptor.Command].Files, $"{descriptor.Name}: files");
        }
    }

    [Fact]
    public void Lengths_by_the_table_are_those_of_the_commands()
    {
        var random = new Random(1);
        foreach (var (command, entry) in Table)
        {
            var descriptor = IoctlTable.Find(command)!;
            for (var round = 0; round < 500; round++)
            {
                var argument = new byte[random.Next(descriptor.Size + 1)];
                if (random.Next(2) == 0)
                {
                    random.NextBytes(argument);
                }

                for (var i = 0; i < entry.Buffers.Length; i++)
                {
                    // Half of the time the argument has the buffer.
                    if (random.Next(2) == 0 && entry.Buffers[i].Selector is not NoSelector and var selector && selector + 4 <= argument.Length)
                    {
                        BinaryPrimitives.WriteUInt32LittleEndian(argument.AsSpan(selector), entry.Buffers[i].Selected);
                    }

                    Expect.Equal(descriptor.Buffers[i].LengthIn(argument), entry.Buffers[i].LengthIn(argument), $"{descriptor.Name}, buffer {i} of {Convert.ToHexString(argument)}");
                }
            }
        }
    }

    [Fact]
    public void The_table_ends_with_its_last_command_and_fits_the_bridge()
    {
        var reader = new Cursor(CommandTable.Bytes);
        Read(reader);

        Expect.Equal(CommandTable.Bytes.Length, reader.At, "bytes of the table");
        Expect.That(CommandTable.Bytes.Length <= 16384, $"the bridge has room for 16,384 bytes, the table has {CommandTable.Bytes.Length}");
    }

    private static Dictionary<uint, Entry> Decode(byte[] bytes) => Read(new Cursor(bytes));

    private static Dictionary<uint, Entry> Read(Cursor table)
    {
        var commands = table.U16();
        Expect.Equal(0UL, table.Number(6), "reserved bytes of the table");
        var entries = new Dictionary<uint, Entry>();
        for (var i = 0; i < commands; i++)
        {
            var command = table.U32();
            var (minimum, buffers, files) = (table.U16(), table.U8(), table.U8());
            Expect.Equal((int)IoctlTable.Find(command)!.Argument, (int)table.U8(), $"the kind of argument of 0x{command:X}");
            Expect.Equal(0UL, table.Number(3), $"reserved bytes of 0x{command:X}");
            entries.Add(command, new Entry(minimum, [.. Enumerable.Range(0, buffers).Select(_ => ReadBuffer(table))], [.. Enumerable.Range(0, files).Select(_ => ((int)table.U16(), (int)table.U16(), table.U32()))]));
        }

        return entries;
    }

    private static Buffer ReadBuffer(Cursor table)
    {
        var (access, rule, pointer, a, b) = (table.U8(), table.U8(), table.U16(), table.U16(), table.U16());
        var (bytesOfA, bytesOfB, factor, selector) = (table.U8(), table.U8(), table.U16(), table.U16());
        Expect.Equal(0UL, table.Number(2), "reserved bytes of a buffer");
        Expect.That(bytesOfA is 4 or 8, $"bytes of a are 4 or 8, they were {bytesOfA}");
        Expect.That(bytesOfB is 0 or 4 or 8, $"bytes of b are 0, 4 or 8, they were {bytesOfB}");
        return new Buffer(access, rule, pointer, (a, bytesOfA), (b, bytesOfB), factor, selector, table.U32());
    }

    private sealed record Entry(int Minimum, Buffer[] Buffers, (int Offset, int Selector, uint Selected)[] Files);

    private sealed record Buffer(int Access, int Rule, int Pointer, (int Offset, int Bytes) A, (int Offset, int Bytes) B, ulong Factor, int Selector, uint Selected)
    {
        /// <summary>As the page's rules say.</summary>
        public ulong LengthIn(byte[] argument)
        {
            if (Selector != NoSelector && Field(argument, (Selector, 4)) != Selected)
            {
                return 0;
            }

            UInt128 a = Field(argument, A), b = Field(argument, B);
            var length = Rule switch
            {
                0 => a * Factor,
                1 => a * b,
                2 => b == 0 ? 0 : ((((a + b - 1) / b) + 63) / 64) * 8,
                3 => b == 0 ? 0 : ((a / b) + 7) / 8,
                _ => throw new InvalidOperationException($"There is no rule {Rule}."),
            };
            return length > ulong.MaxValue ? ulong.MaxValue : (ulong)length;
        }

        private static ulong Field(byte[] argument, (int Offset, int Bytes) field)
        {
            Span<byte> value = stackalloc byte[8];
            var there = argument.AsSpan(Math.Min(field.Offset, argument.Length));
            there[..Math.Min(field.Bytes, there.Length)].CopyTo(value);
            return BinaryPrimitives.ReadUInt64LittleEndian(value);
        }
    }

    private sealed class Cursor(byte[] bytes)
    {
        public int At { get; private set; }

        public ulong Number(int count)
        {
            var value = 0UL;
            for (var i = 0; i < count; i++)
            {
                value |= (ulong)bytes[At++] << (8 * i);
            }

            return value;
        }

        public int U8() => (int)Number(1);

        public ushort U16() => (ushort)Number(2);

        public uint U32() => (uint)Number(4);
    }
}
