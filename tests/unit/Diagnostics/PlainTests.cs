using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Diagnostics;

public sealed class PlainTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("vfio-pci 0000:01:00.0", "vfio-pci 0000:01:00.0")]
    [InlineData("Prüfung 機器 \ud83d\ude00", "Prüfung 機器 \ud83d\ude00")]
    [InlineData("\u001b]0;title\u0007", @"\x1B]0;title\x07")]
    [InlineData("a\nfail: forged\r\tb", @"a\x0Afail: forged\x0D\x09b")]
    [InlineData("\u009b2J\u0085\u007f", @"\x9B2J\x85\x7F")]
    [InlineData("exe\u202egnp", @"exe\u202Egnp")]
    [InlineData("\u2028\u2029\u200b\ufeff", @"\u2028\u2029\u200B\uFEFF")]
    public void A_text_is_shown_in_one_line_without_what_a_terminal_obeys(string text, string shown)
    {
        Expect.Equal(shown, Plain.Line(text), "what is shown");
        Expect.Equal(shown, $"{(Plain)text}", "what is logged");
        Expect.Equal(shown, Plain.Line(shown), "what is shown of what is shown");
    }

    [Fact]
    public void Half_a_character_is_shown_as_one_that_is_not_known()
        => Expect.Equal("half \ufffd.", Plain.Line($"half {(char)0xD83D}."), "what is shown");

    [Fact]
    public void No_text_is_empty() => Expect.Equal("", Plain.Line(null), "no text");
}
