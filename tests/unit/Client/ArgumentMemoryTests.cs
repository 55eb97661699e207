using IommuFd.Client;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

public sealed class ArgumentMemoryTests
{
    private const ulong Start = ArgumentMemory.Address;

    [Theory]
    [InlineData(Start)]
    public void The_argument_lies_at_an_address_that_no_program_has(ulong start)
        => Expect.That(start >> 47 is not (0 or 0x1FFFF), $"0x{start:X} is a canonical address of x86-64.");

    [Fact]
    public void The_argument_can_be_read_and_written_from_any_byte_to_its_end()
    {
        byte[] argument = [1, 2, 3, 4];
        var memory = new ArgumentMemory(argument, null);
        var read = new byte[8];
        Expect.Equal(3, memory.Read(Start + 1, read), "bytes read from the second on");
        Expect.Sequence<byte>([2, 3, 4, 0, 0, 0, 0, 0], read, "what was read");
        Expect.Equal(2, memory.Write(Start + 2, [8, 9, 10]), "bytes written from the third on");
        Expect.Sequence<byte>([1, 2, 8, 9], argument, "the argument");
        Expect.Equal(4UL, memory.Accessible(Start, 100, MemoryAccess.ReadWrite), "bytes accessible");
        Expect.Equal(2UL, memory.Accessible(Start + 1, 2, MemoryAccess.Write), "bytes accessible of two");
        foreach (var address in (ulong[])[0, Start - 1, Start + 4, Start + 5, ulong.MaxValue])
        {
            Expect.Equal(
                (0, 0, 0UL), (memory.Read(address, read), memory.Write(address, [1]), memory.Accessible(address, 1, MemoryAccess.Read)),
                $"accesses at 0x{address:X}");
        }
    }

    [Fact]
    public void Every_other_address_leads_to_the_memory_behind()
    {
        var behind = new byte[4];
        var memory = new ArgumentMemory(new byte[4], new CallerMemory().Add(0x1000, behind, MemoryAccess.Write).Add(Start + 5, new byte[4]));
        Expect.Equal(2, memory.Write(0x1002, [7, 8, 9]), "bytes written behind");
        Expect.Sequence<byte>([0, 0, 7, 8], behind, "the bytes behind");
        Expect.Equal(0, memory.Read(0x1000, new byte[4]), "bytes read where only writing is permitted");
        Expect.Equal(
            (0UL, 4UL), (memory.Accessible(0x1000, 9, MemoryAccess.Read), memory.Accessible(0x1000, 9, MemoryAccess.Write)),
            "bytes that permit reading, and writing");
        Expect.Equal(4, memory.Read(Start + 5, new byte[9]), "bytes read behind the argument");
    }
}
