using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Diagnostics;

public sealed class FormatTests
{
    [Theory]
    [InlineData(0, "area", "0 areas")]
    [InlineData(1, "area", "1 area")]
    [InlineData(12_345, "area", "12,345 areas")]
    [InlineData(1, "access", "1 access")]
    [InlineData(2, "access", "2 accesses")]
    public void A_count_has_groups_and_the_plural(long count, string noun, string expected)
        => Expect.Equal(expected, Format.Count(count, noun), $"{count} of {noun}");

    [Theory]
    [InlineData(0, "0")]
    [InlineData(7.25, "7.25")]
    [InlineData(999, "999")]
    [InlineData(1000, "1 k")]
    [InlineData(12_400, "12.4 k")]
    [InlineData(3_450_000, "3.45 M")]
    [InlineData(2e15, "2000 T")]
    public void A_short_count_has_three_digits_and_a_unit(double count, string expected) => Expect.Equal(expected, Format.ShortCount(count), $"{count}");

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1 KiB")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(3UL << 40, "3 TiB")]
    [InlineData(ulong.MaxValue, "16 EiB")]
    public void Bytes_have_a_unit(ulong bytes, string expected) => Expect.Equal(expected, Format.Bytes(bytes), $"{bytes} bytes");

    [Fact]
    public void A_range_of_every_IOVA_is_16_EiB_and_not_0()
    {
        Expect.Equal("16 EiB", Format.Bytes(IovaRange.All), "all IOVAs");
        Expect.Equal("4 KiB", Format.Bytes(new IovaRange(0x1000, 0x1FFF)), "a page");
    }

    [Fact]
    public void An_address_is_hexadecimal() => Expect.Equal("0xFEE00000", Format.Hex(0xFEE0_0000), "an address");

    [Theory]
    [InlineData(-1, "–")]
    [InlineData(0, "0 ns")]
    [InlineData(950, "950 ns")]
    [InlineData(1_230, "1.23 µs")]
    [InlineData(45_600_000, "45.6 ms")]
    [InlineData(2_000_000_000, "2 s")]
    public void A_duration_has_three_digits_and_a_unit_unless_it_was_not_taken(double nanoseconds, string expected)
        => Expect.Equal(expected, Format.Duration(nanoseconds), $"{nanoseconds} ns");

    [Fact]
    public void A_duration_that_is_not_known_is_a_dash()
    {
        Expect.Equal("–", Format.Duration(null), "no duration");
        Expect.Equal("1.5 ms", Format.Duration(TimeSpan.FromMicroseconds(1500)), "1,500 µs");
    }

    [Theory]
    [InlineData(-5, "0 s")]
    [InlineData(59, "59 s")]
    [InlineData(200, "3 min 20 s")]
    [InlineData(7_320, "2 h 2 min")]
    [InlineData(90_000, "1 d 1 h")]
    public void A_span_has_its_two_largest_units(int seconds, string expected) => Expect.Equal(expected, Format.Span(TimeSpan.FromSeconds(seconds)), $"{seconds} s");

    [Fact]
    public void What_DMA_may_do_is_two_letters()
    {
        Expect.Equal("rw", Format.Access(IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable), "readable and writeable");
        Expect.Equal("r-", Format.Access(IommuIoasMapFlags.Readable | IommuIoasMapFlags.FixedIova), "readable");
        Expect.Equal("-w", Format.Access(IommuIoasMapFlags.Writeable), "writeable");
    }

    [Fact]
    public void An_area_maps_an_address_or_a_place_in_a_file()
    {
        var area = new IoasArea(new IovaRange(0, 0xFFF), 0x7F00_0000, null, IommuIoasMapFlags.Readable);
        Expect.Equal("0x7F000000", Format.Memory(area), "an area of memory");
        Expect.Equal("memfd:ram at 0x7F000000", Format.Memory(area with { File = new MappedFile("memfd:ram") }), "an area of a file");
    }

    [Theory]
    [InlineData("S127.0.0.1:11111:136412345", "127.0.0.1:11111")]
    [InlineData("127.0.0.1:11111@136412345", "127.0.0.1:11111@136412345")]
    [InlineData("S[::1]:11111:136412345", "[::1]:11111")]
    [InlineData("127.0.0.1:11111", "127.0.0.1:11111")]
    public void A_silo_is_shown_by_address_and_port(string address, string expected) => Expect.Equal(expected, Format.Endpoint(address), address);

    [Theory]
    [InlineData("Active", true, "Active")]
    [InlineData("Active", false, "does not answer")]
    [InlineData("Joining", false, "Joining")]
    public void An_active_silo_without_an_answer_says_so(string status, bool answered, string expected)
        => Expect.Equal(expected, Format.State(new SiloOverview { Address = "", Status = status, Answered = answered }), $"{status}, answered: {answered}");

    [Fact]
    public void An_object_has_its_name_if_it_has_one()
    {
        var device = new ObjectRef(ObjectType.Device, new ObjectId(4));
        Expect.Equal("device 4 '0000:01:00.0'", Format.Named(device, "0000:01:00.0"), "a device with a name");
        Expect.Equal("device 4", Format.Named(device, ""), "a device without a name");
    }

    [Fact]
    public void A_list_says_how_many_more_there_are()
    {
        Expect.Equal("", Format.List<string>([], 0), "nothing");
        Expect.Equal("a, b", Format.List(["a", "b"], 2), "all of a list");
        Expect.Equal("a, b and 1,500 more", Format.List(["a", "b"], 1502), "the first two of a list");
    }

    [Fact]
    public void A_sentence_begins_in_upper_case()
    {
        Expect.Equal("Detach device 2", Format.Capitalized("detach device 2"), "a sentence");
        Expect.Equal("", Format.Capitalized(""), "nothing");
    }
}
