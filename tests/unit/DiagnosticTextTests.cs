using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests;

public sealed class DiagnosticTextTests
{
    public static TheoryData<DiagnosticReason> Reasons => [.. Enum.GetValues<DiagnosticReason>()];

    [Theory]
    [MemberData(nameof(Reasons))]
    public void Every_reason_has_words_of_its_own(DiagnosticReason reason)
    {
        var text = Describe(reason);
        Expect.That(!text.StartsWith("reason ", StringComparison.Ordinal), $"{reason} has no words: '{text}'");
        Expect.That(text.Length > 0 && char.IsLetterOrDigit(text[^1]), $"'{text}' can't stand in front of a full stop or a bracket.");
        foreach (var other in Enum.GetValues<DiagnosticReason>().Where(other => other != reason))
        {
            Expect.That(Describe(other) != text, $"{reason} and {other} have the same words: '{text}'");
        }
    }

    [Fact]
    public void A_reason_that_nobody_knows_is_shown_by_its_number()
        => Expect.Equal("reason 12345", Describe((DiagnosticReason)12345), "a reason of a later version");

    [Theory]
    [InlineData(DiagnosticReason.UnknownNumber, "0x2A is no ioctl of iommufd")]
    [InlineData(DiagnosticReason.ArgumentUnreadable, "only 42 of 64 bytes of the argument can be read")]
    [InlineData(DiagnosticReason.ArgumentUnwritable, "only 42 of 64 bytes of the answer can be written")]
    [InlineData(DiagnosticReason.ArgumentTooShort, "size is 42, the command needs at least 64")]
    [InlineData(DiagnosticReason.UnknownBytesNotZero, "size is 42, and a byte behind the 64 that are known is not zero")]
    [InlineData(DiagnosticReason.ReservedNotZero, "a reserved field is 0x2A, it must be 0")]
    [InlineData(DiagnosticReason.UnsupportedFlags, "the flags 0x2A are not supported")]
    [InlineData(DiagnosticReason.UnsupportedOp, "op 42 is not supported")]
    [InlineData(DiagnosticReason.OptionTakesNoObject, "the option belongs to the context: object_id is 7, it must be 0")]
    [InlineData(DiagnosticReason.ObjectNotFound, "no object has the id 7")]
    [InlineData(DiagnosticReason.ObjectOfOtherType, "object 7 is an IOAS, the command needs another kind")]
    [InlineData(DiagnosticReason.ObjectHeld, "IOAS 7 is held by IOAS 8, driver 'who' and 3 more")]
    [InlineData(DiagnosticReason.ContextHasObjects, "the option can be set only while the context has no object; it has IOAS 8, driver 'who' and 3 more")]
    [InlineData(DiagnosticReason.HoldNotFound, "the context has no hold 42")]
    [InlineData(DiagnosticReason.RequestTooLarge, "the request has 42, the service accepts 64")]
    [InlineData(DiagnosticReason.ObjectUnreachable, "the grain of IOAS 7 did not answer or has lost its state")]
    public void The_words_have_the_numbers_of_the_diagnostic(DiagnosticReason reason, string expected)
        => Expect.Equal(expected, Describe(reason), $"the words of {reason}");

    [Fact]
    public void A_holder_is_shown_by_type_id_and_role_or_by_its_drivers_name()
    {
        Expect.Equal("IOAS 8", new Holder(ObjectType.Ioas, new ObjectId(8), "", default).ToString(), "an object without a role");
        Expect.Equal("IOAS 8 (parent)", new Holder(ObjectType.Ioas, new ObjectId(8), "parent", default).ToString(), "an object with a role");
        Expect.Equal("driver 'vfio: DMA'", new Holder(ObjectType.Any, default, "vfio: DMA", new HoldId(1)).ToString(), "a driver");
    }

    [Theory]
    [InlineData(1, "let the holder go first")]
    [InlineData(2, "let the holders go first")]
    public void The_hint_of_a_held_object_counts_its_holders(long holders, string expected)
        => Expect.Equal(
            expected, DiagnosticText.Hint(Errno.EBUSY, new IoctlDiagnostic { Reason = DiagnosticReason.ObjectHeld, HolderCount = holders }),
            $"the hint for {holders} holders");

    [Theory]
    [InlineData(DiagnosticReason.ContextHasObjects)]
    [InlineData(DiagnosticReason.ContextNotOpen)]
    [InlineData(DiagnosticReason.NoCompatIoas)]
    [InlineData(DiagnosticReason.ArgumentTooShort)]
    [InlineData(DiagnosticReason.UnknownBytesNotZero)]
    public void What_a_caller_can_mend_has_a_hint(DiagnosticReason reason)
        => Expect.That(DiagnosticText.Hint(Errno.EINVAL, new IoctlDiagnostic { Reason = reason }).Length > 0, $"{reason} has no hint.");

    [Fact]
    public void Where_there_is_no_advice_the_hint_is_empty()
    {
        Expect.Equal("", DiagnosticText.Hint(Errno.EIO, null), "the hint without a diagnostic");
        Expect.Equal(
            "", DiagnosticText.Hint(Errno.ENOENT, new IoctlDiagnostic { Reason = DiagnosticReason.ObjectNotFound }), "the hint for an id that no object has");
    }

    private static string Describe(DiagnosticReason reason) => new IoctlDiagnostic
    {
        Reason = reason,
        ObjectId = new ObjectId(7),
        ObjectType = ObjectType.Ioas,
        Value = 42,
        Limit = 64,
        Holders = [new Holder(ObjectType.Ioas, new ObjectId(8), "", default), new Holder(ObjectType.Any, default, "who", new HoldId(1))],
        HolderCount = 5,
    }.ToString();
}
