using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Diagnostics;

public sealed class DiagnosticTextTests
{
    public static TheoryData<DiagnosticReason> Reasons => [.. Enum.GetValues<DiagnosticReason>()];

    [Theory]
    [MemberData(nameof(Reasons))]
    public void Every_reason_has_words_of_its_own(DiagnosticReason reason)
    {
        var text = Describe(reason);
        Expect.That(!text.StartsWith("reason ", StringComparison.Ordinal), $"{reason} has no words: '{text}'");
        Expect.That(text.Length > 0 && (char.IsLetterOrDigit(text[^1]) || text[^1] == ']'), $"'{text}' can't stand in front of a full stop or a bracket.");
        foreach (var other in Enum.GetValues<DiagnosticReason>().Where(other => other != reason))
        {
            Expect.That(Describe(other) != text, $"{reason} and {other} have the same words: '{text}'");
        }
    }

    [Fact]
    public void A_reason_of_a_later_version_is_shown_by_its_number()
        => Expect.Equal("reason 12345", Describe((DiagnosticReason)12345), "a reason of a later version");

    [Theory]
    [InlineData(DiagnosticReason.UnknownNumber, "0x2A is not an iommufd ioctl")]
    [InlineData(DiagnosticReason.ArgumentUnreadable, "only 42 of 64 bytes of the argument can be read")]
    [InlineData(DiagnosticReason.ArgumentUnwritable, "only 42 of 64 bytes of the answer can be written")]
    [InlineData(DiagnosticReason.ArgumentTooShort, "size is 42, the command needs at least 64")]
    [InlineData(DiagnosticReason.UnknownBytesNotZero, "size is 42, and a byte beyond the 64 known ones is not zero")]
    [InlineData(DiagnosticReason.ReservedNotZero, "a reserved field is 0x2A, it must be 0")]
    [InlineData(DiagnosticReason.UnsupportedFlags, "the flags 0x2A are not supported")]
    [InlineData(DiagnosticReason.UnsupportedOp, "op 42 is not supported")]
    [InlineData(DiagnosticReason.OptionTakesNoObject, "object_id is 7, it must be 0: the option belongs to the context")]
    [InlineData(DiagnosticReason.ObjectNotFound, "no object has the id 7")]
    [InlineData(DiagnosticReason.ObjectOfOtherType, "object 7 is an IOAS, the command needs another kind")]
    [InlineData(DiagnosticReason.ObjectHeld, "IOAS 7 is held by IOAS 8, driver 'who' and 3 more")]
    [InlineData(DiagnosticReason.ContextHasObjects, "the option can only be set while the context has no objects, it has IOAS 8, driver 'who' and 3 more")]
    [InlineData(DiagnosticReason.HoldNotFound, "the driver has no hold 42")]
    [InlineData(DiagnosticReason.RequestTooLarge, "the request is 42 bytes, the limit is 64")]
    [InlineData(DiagnosticReason.BatchTooLong, "the batch has 42 ioctls, the limit is 64")]
    [InlineData(DiagnosticReason.NoHole, "no hole of 0x2A bytes is aligned as the memory is, the largest hole is 0x40")]
    [InlineData(DiagnosticReason.RangeNotMapped, "nothing is mapped in 0x40 bytes from 0x2A, the IOAS has no area")]
    [InlineData(DiagnosticReason.ObjectUnreachable, "the grain of IOAS 7 did not answer or has lost its state")]
    public void The_words_have_the_numbers_of_the_diagnostic(DiagnosticReason reason, string expected)
        => Expect.Equal(expected, Describe(reason), $"the words of {reason}");

    [Fact]
    public void Large_numbers_of_bytes_are_grouped()
        => Expect.Equal(
            "the request is 70,000,000 bytes, the limit is 67,108,864",
            new IoctlDiagnostic { Reason = DiagnosticReason.RequestTooLarge, Value = 70_000_000, Limit = 67_108_864 }.ToString(), "a request that is too large");

    [Theory]
    [InlineData(ObjectType.Ioas, "an IOAS")]
    [InlineData(ObjectType.Access, "an access")]
    [InlineData(ObjectType.Device, "a device")]
    [InlineData(ObjectType.HwptPaging, "a HWPT")]
    public void An_object_of_another_kind_has_the_article_of_its_kind(ObjectType type, string expected)
        => Expect.Equal(
            $"object 7 is {expected}, the command needs another kind",
            new IoctlDiagnostic { Reason = DiagnosticReason.ObjectOfOtherType, ObjectId = new ObjectId(7), ObjectType = type }.ToString(), $"an object of the kind {type}");

    [Fact]
    public void A_holder_is_shown_by_type_id_and_role_or_by_its_drivers_name()
    {
        Expect.Equal("IOAS 8", new Holder(ObjectType.Ioas, new ObjectId(8), "", default).ToString(), "an object without a role");
        Expect.Equal("IOAS 8 (parent)", new Holder(ObjectType.Ioas, new ObjectId(8), "parent", default).ToString(), "an object with a role");
        Expect.Equal("driver 'vfio: DMA'", new Holder(ObjectType.Any, default, "vfio: DMA", new HoldId(1)).ToString(), "a driver");
    }

    [Theory]
    [InlineData(1, "release the holder first: ExplainBusyAsync lists the steps")]
    [InlineData(2, "release the holders first: ExplainBusyAsync lists the steps")]
    public void The_hint_of_a_held_object_counts_its_holders(long holders, string expected)
        => Expect.Equal(
            expected, DiagnosticText.Hint(Errno.EBUSY, new IoctlDiagnostic { Reason = DiagnosticReason.ObjectHeld, HolderCount = holders }),
            $"the hint for {holders} holders");

    [Theory]
    [InlineData(DiagnosticReason.ContextHasObjects)]
    [InlineData(DiagnosticReason.DeviceAttached)]
    [InlineData(DiagnosticReason.NoFreeId)]
    [InlineData(DiagnosticReason.ContextNotOpen)]
    [InlineData(DiagnosticReason.NoCompatIoas)]
    [InlineData(DiagnosticReason.ArgumentTooShort)]
    [InlineData(DiagnosticReason.UnknownBytesNotZero)]
    public void What_a_caller_can_correct_has_a_hint(DiagnosticReason reason)
        => Expect.That(DiagnosticText.Hint(Errno.EINVAL, new IoctlDiagnostic { Reason = reason }).Length > 0, $"{reason} has no hint.");

    [Fact]
    public void Without_advice_the_hint_is_empty()
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
        Overlap = HasRange(reason) ? new IovaRange(1, 2) : null,
    }.ToString();

    // Those that say more about a range than where there is none.
    private static bool HasRange(DiagnosticReason reason) => reason is not DiagnosticReason.RangeNotMapped;
}
