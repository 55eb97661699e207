using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Model;

public sealed class ContextModelTests
{
    private readonly ContextModel _context = new();

    public static TheoryData<string> BadNames => ["", new string('x', 129)];

    [Fact]
    public void A_new_context_is_closed_and_answers_nothing()
    {
        ExpectState(isOpen: false, answers: false, "a new context");
        Expect.Equal(0U, _context.RlimitMode, "the value of RLIMIT_MODE");
        Expect.Equal(null, _context.CompatIoas, "the compatibility IOAS");
    }

    [Fact]
    public void Open_takes_a_file_reference_under_its_name()
    {
        var reply = _context.Open(ContextMode.Volatile, "vmm");
        Expect.Equal((Errno.None, ContextMode.Volatile, default(HoldId), null), (reply.Errno, reply.Mode, reply.Hold, reply.Diagnostic), "the reply of open");
        ExpectState(isOpen: true, answers: true, "an opened context");
        var reference = Assert.Single(_context.References);
        Expect.Equal((reply.Reference, ReferenceKind.File, "vmm", 0), (reference.Id, reference.Kind, reference.Name, reference.HeldCount), "the reference");
        Expect.That(reply.Reference.Value != 0, "The reference's number is 0, which is none.");
    }

    [Fact]
    public void Opening_an_open_context_is_EEXIST_and_changes_nothing()
    {
        Open();
        Refused(_context.Open(ContextMode.Volatile, "second"), Errno.EEXIST, DiagnosticReason.ContextAlreadyOpen, "opening twice");
        Refused(_context.Open(ContextMode.Volatile, ""), Errno.EEXIST, DiagnosticReason.ContextAlreadyOpen, "opening twice, with a bad name");
        Assert.Single(_context.References);
    }

    [Fact]
    public void Opening_a_context_that_only_a_driver_keeps_is_EEXIST()
    {
        var file = Open();
        Get(ReferenceKind.Driver);
        _context.Put(file);
        Refused(_context.Open(ContextMode.Volatile, "second"), Errno.EEXIST, DiagnosticReason.ContextAlreadyOpen, "opening what a driver keeps");
    }

    [Theory]
    [MemberData(nameof(BadNames))]
    public void A_name_of_no_or_more_than_128_characters_is_EINVAL_and_changes_nothing(string name)
    {
        Refused(_context.Open(ContextMode.Volatile, name), Errno.EINVAL, DiagnosticReason.InvalidName, "opening with a bad name");
        ExpectState(isOpen: false, answers: false, "a context that was opened with a bad name");

        Open();
        Refused(_context.Get(ReferenceKind.File, name), Errno.EINVAL, DiagnosticReason.InvalidName, "a file's reference with a bad name");
        var driver = Get(ReferenceKind.Driver);
        var entry = Add();
        Refused(_context.HoldObject(driver, entry.Id, ObjectType.Any, name), Errno.EINVAL, DiagnosticReason.InvalidName, "a hold with a bad name");
        Expect.Equal(1L, entry.Users, "users of the object that was not held");
        Expect.Equal(2, _context.References.Count, "references");
    }

    [Fact]
    public void A_name_that_is_missing_is_EINVAL()
        => Refused(_context.Open(ContextMode.Volatile, null!), Errno.EINVAL, DiagnosticReason.InvalidName, "opening without a name");

    [Fact]
    public void A_name_of_128_characters_is_taken()
        => Expect.Equal(Errno.None, _context.Open(ContextMode.Volatile, new string('x', 128)).Errno, "opening with a name of 128 characters");

    [Fact]
    public void Get_on_a_closed_context_is_EBADF()
    {
        foreach (var kind in Enum.GetValues<ReferenceKind>())
        {
            Refused(_context.Get(kind, "name"), Errno.EBADF, DiagnosticReason.ContextNotOpen, $"a {kind} reference to a context that was never opened");
        }
    }

    [Fact]
    public void Get_of_a_kind_that_does_not_exist_is_EINVAL()
    {
        Open();
        Expect.Equal(Errno.EINVAL, _context.Get((ReferenceKind)2, "name").Errno, "a reference of kind 2");
        Assert.Single(_context.References);
    }

    [Fact]
    public void A_context_answers_ioctls_while_a_file_refers_to_it()
    {
        var first = Open();
        var second = Get(ReferenceKind.File);
        Expect.Equal(Errno.None, _context.Put(first), "putting the first file");
        ExpectState(isOpen: true, answers: true, "a context with one of two files left");
        Expect.Equal(Errno.None, _context.Put(second), "putting the second file");
        ExpectState(isOpen: false, answers: false, "a context without a file");
    }

    [Fact]
    public void A_drivers_reference_delays_the_release_and_answers_no_ioctl()
    {
        var file = Open();
        var driver = Get(ReferenceKind.Driver);
        Expect.Equal(Errno.None, _context.Put(file), "putting the last file");
        ExpectState(isOpen: true, answers: false, "a context that only a driver keeps");
        Refused(_context.Get(ReferenceKind.File, "late"), Errno.EBADF, DiagnosticReason.ContextNotOpen, "duplicating a file that is closed");
        Refused(_context.Get(ReferenceKind.Driver, "late"), Errno.EBADF, DiagnosticReason.ContextNotOpen, "getting a context by a file that is closed");

        Expect.Equal(Errno.None, _context.Put(driver), "putting the driver's reference");
        ExpectState(isOpen: false, answers: false, "a context that nobody refers to");
    }

    [Fact]
    public void Putting_a_reference_that_is_not_there_is_EBADF_and_changes_nothing()
    {
        var file = Open();
        Expect.Equal(Errno.EBADF, _context.Put(new ReferenceId(file.Value + 1)), "putting a reference that nobody took");
        Expect.Equal(Errno.EBADF, _context.Put(default), "putting reference 0");
        ExpectState(isOpen: true, answers: true, "the context");

        var second = Get(ReferenceKind.File);
        Expect.Equal(Errno.None, _context.Put(second), "putting the second file");
        Expect.Equal(Errno.EBADF, _context.Put(second), "putting the second file again");
        ExpectState(isOpen: true, answers: true, "a context with its first file, after the second was put twice");
    }

    [Fact]
    public void References_and_holds_have_numbers_that_no_other_had()
    {
        var numbers = new List<long> { Open().Value };
        var entry = Add();
        for (var i = 0; i < 3; i++)
        {
            var driver = Get(ReferenceKind.Driver);
            numbers.Add(driver.Value);
            numbers.Add(Hold(driver, entry).Value);
            _context.Put(driver);
        }

        Expect.Equal(numbers.Count, numbers.Distinct().Count(), $"different numbers among {string.Join(", ", numbers)}");
        Expect.That(!numbers.Contains(0), "A reference or a hold has the number 0, which is none.");
    }

    [Fact]
    public void References_are_listed_oldest_first()
    {
        Open();
        var second = Get(ReferenceKind.Driver);
        Get(ReferenceKind.File);
        Get(ReferenceKind.Driver);
        _context.Put(second);
        var numbers = _context.References.Select(reference => reference.Id.Value).ToList();
        Expect.Sequence(numbers.Order(), numbers, "the references' numbers");
        Expect.Equal(3, numbers.Count, "references");
    }

    [Fact]
    public void A_hold_adds_one_user_under_the_drivers_name_and_keeps_the_object()
    {
        Open();
        var entry = Add();
        var driver = Get(ReferenceKind.Driver, "vfio-pci");
        var reply = _context.HoldObject(driver, entry.Id, ObjectType.Ioas, "DMA of 0000:01:00.0");
        Expect.Equal((Errno.None, entry.Id, null), (reply.Errno, reply.Id, reply.Diagnostic), "the reply of hold");
        Expect.Equal(2L, entry.Users, "users of the held object");
        Expect.Sequence(
            [new Holder(ObjectType.Any, default, "vfio-pci: DMA of 0000:01:00.0", reply.Hold)], entry.DescribeHolders(10), "the holders of the held object");
        Expect.Equal(Errno.EBUSY, _context.Remove(1, out _), "removing the held object");
        Expect.Equal(Errno.None, _context.DropObject(driver, reply.Hold).Errno, "dropping the hold");
        Expect.Equal(1L, entry.Users, "users after the drop");
        Expect.Equal(Errno.None, _context.Remove(1, out _), "removing the object that nobody holds any more");
    }

    [Fact]
    public void An_object_can_be_held_several_times_and_each_hold_counts()
    {
        Open();
        var entry = Add();
        var driver = Get(ReferenceKind.Driver);
        HoldId[] holds = [Hold(driver, entry), Hold(driver, entry), Hold(Get(ReferenceKind.Driver), entry)];
        Expect.Equal(4L, entry.Users, "users of an object with three holds");
        Expect.Equal(Errno.None, _context.DropObject(driver, holds[0]).Errno, "dropping the first hold");
        Expect.Equal(3L, entry.Users, "users after the first drop");
        Expect.Equal(Errno.EBUSY, _context.Remove(1, out _), "removing an object with two holds");
    }

    [Fact]
    public void A_hold_of_an_object_that_is_not_there_is_ENOENT()
    {
        Open();
        var driver = Get(ReferenceKind.Driver);
        _context.Objects.Reserve(ObjectType.Ioas);
        foreach (var id in (uint[])[0, 1, 2, uint.MaxValue])
        {
            var reply = _context.HoldObject(driver, new ObjectId(id), ObjectType.Any, "test");
            Refused(reply, Errno.ENOENT, DiagnosticReason.ObjectNotFound, $"holding id {id}");
            Expect.Equal(new ObjectId(id), reply.Diagnostic!.ObjectId, "the id in the diagnostic");
        }
    }

    [Fact]
    public void A_hold_of_an_object_of_another_type_is_ENOENT_and_says_which_it_has()
    {
        Open();
        var driver = Get(ReferenceKind.Driver);
        var entry = Add();
        var reply = _context.HoldObject(driver, entry.Id, (ObjectType)1000, "test");
        Refused(reply, Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, "holding an IOAS as something else");
        Expect.Equal((entry.Id, ObjectType.Ioas), (reply.Diagnostic!.ObjectId, reply.Diagnostic.ObjectType), "the object in the diagnostic");
        Expect.Equal(1L, entry.Users, "users of the object that was not held");
    }

    [Fact]
    public void Only_a_drivers_reference_can_hold_and_drop()
    {
        var file = Open();
        var driver = Get(ReferenceKind.Driver);
        var entry = Add();
        var hold = Hold(driver, entry);
        Refused(_context.HoldObject(file, entry.Id, ObjectType.Any, "test"), Errno.EBADF, DiagnosticReason.ReferenceNotFound, "holding through a file");
        Refused(_context.HoldObject(default, entry.Id, ObjectType.Any, "test"), Errno.EBADF, DiagnosticReason.ReferenceNotFound, "holding through reference 0");
        Refused(_context.DropObject(file, hold), Errno.EBADF, DiagnosticReason.ReferenceNotFound, "dropping through a file");
        Refused(_context.DropObject(default, hold), Errno.EBADF, DiagnosticReason.ReferenceNotFound, "dropping through reference 0");
        _context.Put(driver);
        Refused(
            _context.HoldObject(driver, entry.Id, ObjectType.Any, "test"),
            Errno.EBADF, DiagnosticReason.ReferenceNotFound, "holding through a reference that was put");
        Expect.Equal(1L, entry.Users, "users of the object");
    }

    [Fact]
    public void A_driver_can_hold_after_the_last_file_was_closed()
    {
        var file = Open();
        var entry = Add();
        var driver = Get(ReferenceKind.Driver);
        _context.Put(file);
        Hold(driver, entry);
        Expect.Equal(2L, entry.Users, "users of the object");
    }

    [Fact]
    public void Dropping_another_drivers_hold_is_ENOENT_and_changes_nothing()
    {
        Open();
        var entry = Add();
        var (one, two) = (Get(ReferenceKind.Driver), Get(ReferenceKind.Driver));
        var hold = Hold(one, entry);
        var reply = _context.DropObject(two, hold);
        Refused(reply, Errno.ENOENT, DiagnosticReason.HoldNotFound, "dropping another driver's hold");
        Expect.Equal((ulong)hold.Value, reply.Diagnostic!.Value, "the hold in the diagnostic");
        Expect.Equal(2L, entry.Users, "users of the object");
        Expect.Equal(Errno.None, _context.DropObject(one, hold).Errno, "dropping one's own hold");
    }

    [Fact]
    public void Dropping_a_hold_twice_is_ENOENT_and_takes_one_user_only()
    {
        Open();
        var entry = Add();
        var driver = Get(ReferenceKind.Driver);
        var hold = Hold(driver, entry);
        Hold(driver, entry);
        Expect.Equal(Errno.None, _context.DropObject(driver, hold).Errno, "dropping the hold");
        Refused(_context.DropObject(driver, hold), Errno.ENOENT, DiagnosticReason.HoldNotFound, "dropping the hold again");
        Refused(_context.DropObject(driver, default), Errno.ENOENT, DiagnosticReason.HoldNotFound, "dropping hold 0");
        Expect.Equal(2L, entry.Users, "users of an object with one hold left");
    }

    [Fact]
    public void Holds_go_with_the_reference_they_were_taken_through_and_others_stay()
    {
        Open();
        ObjectEntry[] entries = [Add(), Add(), Add()];
        var (one, two) = (Get(ReferenceKind.Driver), Get(ReferenceKind.Driver));
        HoldId[] ofOne = [Hold(one, entries[0]), Hold(one, entries[0]), Hold(one, entries[1])];
        var ofTwo = Hold(two, entries[1]);
        Hold(two, entries[2]);
        Expect.Equal(Errno.None, _context.Put(one), "putting the first driver's reference");
        Expect.Equal((1L, 2L, 2L), (entries[0].Users, entries[1].Users, entries[2].Users), "users of the three objects");
        foreach (var hold in ofOne)
        {
            Refused(_context.DropObject(two, hold), Errno.ENOENT, DiagnosticReason.HoldNotFound, "dropping a hold that went with its reference");
        }

        Expect.Equal(Errno.None, _context.DropObject(two, ofTwo).Errno, "dropping a hold of the driver that stayed");
        Expect.Equal(Errno.None, _context.Remove(2, out _), "removing the object that the first driver held too");
    }

    [Fact]
    public void Putting_a_file_leaves_a_drivers_holds()
    {
        Open();
        var second = Get(ReferenceKind.File);
        var entry = Add();
        Hold(Get(ReferenceKind.Driver), entry);
        _context.Put(second);
        Expect.Equal(2L, entry.Users, "users of the object");
    }

    [Fact]
    public void Destroying_the_compatibility_IOAS_clears_it()
    {
        Open();
        _context.CompatIoas = Add();
        Expect.Equal(Errno.None, _context.Remove(1, out _), "removing the compatibility IOAS, which nobody holds by that");
        Expect.Equal(null, _context.CompatIoas, "the compatibility IOAS");
    }

    [Fact]
    public void Destroying_another_object_or_failing_to_leaves_the_compatibility_IOAS()
    {
        Open();
        var (compat, other) = (Add(), Add());
        _context.CompatIoas = compat;
        Expect.Equal(Errno.None, _context.Remove(other.Id.Value, out _), "removing another object");
        Expect.Equal(compat, _context.CompatIoas, "the compatibility IOAS after another object went");
        Hold(Get(ReferenceKind.Driver), compat);
        Expect.Equal(Errno.EBUSY, _context.Remove(compat.Id.Value, out _), "removing the compatibility IOAS while it is held");
        Expect.Equal(compat, _context.CompatIoas, "the compatibility IOAS after the refused removal");
        Expect.Equal(Errno.ENOENT, _context.Remove(9, out _), "removing an object that is not there");
        Expect.Equal(compat, _context.CompatIoas, "the compatibility IOAS after removing nothing");
    }

    private static void Refused(ReferenceReply reply, Errno errno, DiagnosticReason reason, string what)
    {
        Expect.Equal((errno, (DiagnosticReason?)reason), (reply.Errno, reply.Diagnostic?.Reason), what);
        Expect.Equal((default(ReferenceId), default(HoldId)), (reply.Reference, reply.Hold), $"the reference and the hold of {what}");
    }

    private static void Refused(DriverReply reply, Errno errno, DiagnosticReason reason, string what)
        => Expect.Equal((errno, (DiagnosticReason?)reason, default(HoldId)), (reply.Errno, reply.Diagnostic?.Reason, reply.Hold), what);

    private void ExpectState(bool isOpen, bool answers, string what)
        => Expect.Equal((isOpen, answers), (_context.IsOpen, _context.AnswersIoctls), $"whether {what} is open, and answers ioctls");

    private ReferenceId Open() => _context.Open(ContextMode.Volatile, "file").Reference;

    private ReferenceId Get(ReferenceKind kind, string name = "name")
    {
        var reply = _context.Get(kind, name);
        Expect.Equal(Errno.None, reply.Errno, $"a {kind} reference");
        return reply.Reference;
    }

    private HoldId Hold(ReferenceId driver, ObjectEntry entry)
    {
        var reply = _context.HoldObject(driver, entry.Id, ObjectType.Any, "test");
        Expect.Equal(Errno.None, reply.Errno, $"a hold of {entry.Ref}");
        return reply.Hold;
    }

    private ObjectEntry Add()
    {
        var entry = _context.Objects.Reserve(ObjectType.Ioas)!;
        _context.Objects.Finalize(entry);
        return entry;
    }
}
