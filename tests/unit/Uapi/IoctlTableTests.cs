using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Uapi;

public sealed class IoctlTableTests
{
    [Fact]
    public void Numbers_0x80_to_0xA0_are_in_the_table_and_no_others()
    {
        for (uint number = 0; number <= 0xFF; number++)
        {
            Expect.Equal(number is >= 0x80 and <= 0xA0, IoctlTable.TryIndex(0x3B00 | number, out var index), $"whether number 0x{number:X2} is in the table");
            if (number is >= 0x80 and <= 0xA0)
            {
                Expect.Equal((int)number - 0x80, index, $"the place of number 0x{number:X2}");
            }
        }
    }

    [Fact]
    public void The_place_in_the_table_is_decided_by_the_low_byte_alone()
    {
        foreach (uint upper in (uint[])[0, 0x3B00, 0x3A00, 0xC0083B00, 0xFFFFFF00])
        {
            Expect.That(IoctlTable.TryIndex(upper | 0x81, out var index) && index == 1, $"0x{upper | 0x81:X} is not at place 1 of the table.");
            Expect.That(!IoctlTable.TryIndex(upper | 0x7F, out _), $"0x{upper | 0x7F:X} is in the table.");
            Expect.That(!IoctlTable.TryIndex(upper | 0xA1, out _), $"0x{upper | 0xA1:X} is in the table.");
        }
    }

    [Fact]
    public void Commands_are_at_0x3B80_to_0x3B94_and_0x3BA0_with_those_of_type1_and_the_numbers_between_are_unused()
    {
        for (uint number = 0; number <= 0xFF; number++)
        {
            var found = IoctlTable.Find(0x3B00 | number);
            Expect.Equal(number is (>= 0x80 and <= 0x94) or 0xA0 or (>= 0x64 and <= 0x66) or (>= 0x70 and <= 0x72), found is not null, $"whether 0x3B{number:X2} is a command");
            if (found is not null)
            {
                Expect.Equal(0x3B00 | number, found.Number, $"the command found for 0x3B{number:X2}");
            }
        }
    }

    [Fact]
    public void A_command_is_found_by_its_full_number_only()
    {
        foreach (var descriptor in IoctlTable.All)
        {
            for (var bit = 8; bit < 32; bit++)
            {
                var other = (uint)descriptor.Command ^ (1u << bit);
                Expect.That(IoctlTable.Find(other) is null, $"0x{other:X} was taken for {descriptor}.");
            }
        }
    }

    [Fact]
    public void Every_named_command_has_a_descriptor_and_every_descriptor_a_named_command()
    {
        foreach (var command in Enum.GetValues<IommuCommand>())
        {
            Expect.Equal(command, IoctlTable.Get(command).Command, $"the command of the descriptor of {command}");
        }

        Expect.Equal(Enum.GetValues<IommuCommand>().Length, IoctlTable.All.Count(), "how many descriptors there are");
    }

    [Fact]
    public void Asking_for_a_command_that_does_not_exist_is_a_bug()
        => Assert.Throws<ArgumentOutOfRangeException>(() => IoctlTable.Get((IommuCommand)0x3B95));

    [Theory]
    [InlineData(IommuOptionId.RlimitMode, 0)]
    [InlineData(IommuOptionId.HugePages, 1)]
    [InlineData(IommuOptionOp.Set, 0)]
    [InlineData(IommuOptionOp.Get, 1)]
    [InlineData(IommuVfioIoasOp.Get, 0)]
    [InlineData(IommuVfioIoasOp.Set, 1)]
    [InlineData(IommuVfioIoasOp.Clear, 2)]
    [InlineData(IommuIoasMapFlags.FixedIova, 1)]
    [InlineData(IommuIoasMapFlags.Writeable, 2)]
    [InlineData(IommuIoasMapFlags.Readable, 4)]
    [InlineData(IommuTestOp.AddReserved, 1)]
    [InlineData(IommuTestOp.MdCheckMap, 3)]
    [InlineData(IommuTestOp.MdCheckRefs, 4)]
    [InlineData(IommuTestOp.AccessPages, 7)]
    [InlineData(IommuTestOp.AccessRw, 8)]
    [InlineData(IommuTestOp.Dirty, 13)]
    public void A_named_value_is_the_kernels(Enum value, uint expected)
        => Expect.Equal(expected, Convert.ToUInt32(value, System.Globalization.CultureInfo.InvariantCulture), $"{value.GetType().Name}.{value}");
}
