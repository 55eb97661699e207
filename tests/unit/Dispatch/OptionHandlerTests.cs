using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

public sealed class OptionHandlerTests
{
    private const uint RlimitMode = 0;
    private const uint HugePages = 1;
    private const ushort Set = 0;
    private const ushort Get = 1;

    private readonly OpenContext _context = new();

    [Theory]
    [InlineData(RlimitMode)]
    [InlineData(HugePages)]
    [InlineData(99)]
    public void A_reserved_field_that_is_not_zero_is_EOPNOTSUPP_before_all_else(uint option)
    {
        var reply = Run(new IommuOption { OptionId = option, Op = 9, ObjectId = 77, Reserved = 0x8000, Val64 = 5 });
        var diagnostic = reply.Fails(Errno.EOPNOTSUPP, DiagnosticReason.ReservedNotZero, $"option {option} with a reserved field");
        Expect.Equal(0x8000UL, diagnostic.Value, "the reserved field in the diagnostic");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(uint.MaxValue)]
    public void An_option_that_does_not_exist_is_EOPNOTSUPP(uint option)
    {
        var reply = Run(new IommuOption { OptionId = option, Op = 9, ObjectId = 77 });
        Expect.Equal(option, reply.Fails(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOption, $"option {option}").Value, "the option in the diagnostic");
    }

    [Fact]
    public void RLIMIT_MODE_is_0_at_first_and_is_answered_in_val64()
    {
        var answer = RunOk(new IommuOption { OptionId = RlimitMode, Op = Get, Val64 = ulong.MaxValue });
        Expect.Equal((24u, 0u, Get, 0UL), (answer.Size, answer.OptionId, answer.Op, answer.Val64), "the answer to RLIMIT_MODE, get");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0)]
    public void RLIMIT_MODE_is_what_it_was_set_to(ulong mode)
    {
        RunOk(new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = 1 - mode });
        var answer = RunOk(new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = mode });
        Expect.Equal(mode, answer.Val64, "val64 in the answer to set");
        Expect.Equal(mode, RunOk(new IommuOption { OptionId = RlimitMode, Op = Get }).Val64, "RLIMIT_MODE after it was set");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(0x1_0000_0000)]
    [InlineData(ulong.MaxValue)]
    public void RLIMIT_MODE_of_another_value_is_EINVAL_and_changes_nothing(ulong mode)
    {
        RunOk(new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = 1 });
        var reply = Run(new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = mode });
        Expect.Equal(mode, reply.Fails(Errno.EINVAL, DiagnosticReason.InvalidOptionValue, $"RLIMIT_MODE {mode}").Value, "the value in the diagnostic");
        Expect.Equal(1U, _context.Model.RlimitMode, "RLIMIT_MODE after the refused set");
    }

    [Theory]
    [InlineData(Set)]
    [InlineData(Get)]
    [InlineData(2)]
    public void RLIMIT_MODE_of_an_object_is_EOPNOTSUPP(ushort op)
    {
        var id = _context.Add().Id;
        var reply = Run(new IommuOption { OptionId = RlimitMode, Op = op, ObjectId = id.Value, Val64 = 2 });
        Expect.Equal(
            id, reply.Fails(Errno.EOPNOTSUPP, DiagnosticReason.OptionTakesNoObject, $"RLIMIT_MODE of an object, op {op}").ObjectId, "the id in the diagnostic");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(0xFFFF)]
    public void An_op_of_RLIMIT_MODE_that_does_not_exist_is_EOPNOTSUPP_also_while_there_are_objects(ushort op)
    {
        _context.Add();
        var reply = Run(new IommuOption { OptionId = RlimitMode, Op = op, Val64 = 2 });
        Expect.Equal((ulong)op, reply.Fails(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOp, $"RLIMIT_MODE, op {op}").Value, "the op in the diagnostic");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void RLIMIT_MODE_set_while_there_are_objects_is_EBUSY_and_lists_them(ulong mode)
    {
        _context.Add();
        _context.Add((ObjectType)1000);
        var reply = Run(new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = mode });
        var diagnostic = reply.Fails(Errno.EBUSY, DiagnosticReason.ContextHasObjects, $"RLIMIT_MODE {mode} with two objects");
        Expect.Sequence(
            [new Holder(ObjectType.Ioas, new ObjectId(1), "", default), new Holder((ObjectType)1000, new ObjectId(2), "", default)], diagnostic.Holders,
            "the objects listed");
        Expect.Equal(2L, diagnostic.HolderCount, "the objects counted");
        Expect.Equal(0U, _context.Model.RlimitMode, "RLIMIT_MODE after the refused set");
        RunOk(new IommuOption { OptionId = RlimitMode, Op = Get });
    }

    [Fact]
    public void RLIMIT_MODE_lists_the_first_64_objects_and_counts_all()
    {
        for (var i = 0; i < 100; i++)
        {
            _context.Add();
        }

        var diagnostic = Run(new IommuOption { OptionId = RlimitMode, Op = Set })
            .Fails(Errno.EBUSY, DiagnosticReason.ContextHasObjects, "RLIMIT_MODE with 100 objects");
        Expect.Equal((64, 100L), (diagnostic.Holders.Length, diagnostic.HolderCount), "objects listed and counted");
    }

    // The kernel asks xa_empty, for which a reserved or zero entry is an entry.
    [Fact]
    public void RLIMIT_MODE_set_while_an_id_is_only_reserved_or_a_tombstone_is_EBUSY()
    {
        var reserved = _context.Objects.Reserve(ObjectType.Ioas)!;
        Run(new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = 1 })
            .Fails(Errno.EBUSY, DiagnosticReason.ContextHasObjects, "RLIMIT_MODE with a reserved id");
        _context.Objects.Finalize(reserved);
        _context.Objects.Remove(1, leaveTombstone: true, out _);
        Run(new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = 1 })
            .Fails(Errno.EBUSY, DiagnosticReason.ContextHasObjects, "RLIMIT_MODE with a tombstone");
    }

    [Fact]
    public void RLIMIT_MODE_without_CAP_SYS_RESOURCE_can_be_read_and_setting_it_is_EPERM()
    {
        // Linux looks at the capability before it looks at the context.
        _context.Add();
        Ask(Set, 0).Fails(Errno.EPERM, DiagnosticReason.RlimitModeNotPermitted, "RLIMIT_MODE, set without the capability");
        Expect.Equal(Errno.None, Ask(Get, 0).Errno, "RLIMIT_MODE, got without the capability");
        Expect.Equal(0U, _context.Model.RlimitMode, "RLIMIT_MODE after the refused set");

        IoctlReply Ask(ushort op, ulong value)
        {
            var argument = UapiStruct.ToBytes(new IommuOption { Size = 24, OptionId = RlimitMode, Op = op, Val64 = value });
            return _context.Run(new IoctlRequest { Command = (uint)IommuCommand.Option, Argument = argument, WritableBytes = 24, Limits = CallerLimits.RlimitMode });
        }
    }

    [Fact]
    public void RLIMIT_MODE_can_be_set_again_when_the_last_object_went()
    {
        _context.Add();
        _context.RunOk(IommuCommand.Destroy, new IommuDestroy { Id = 1 });
        RunOk(new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = 1 });
        Expect.Equal(1U, _context.Model.RlimitMode, "RLIMIT_MODE");
    }

    [Fact]
    public void RLIMIT_MODE_is_not_set_where_the_answer_cannot_be_written()
    {
        var reply = _context.Run(IommuCommand.Option, new IommuOption { OptionId = RlimitMode, Op = Set, Val64 = 1 }, writable: 23);
        var diagnostic = reply.Fails(Errno.EFAULT, DiagnosticReason.ArgumentUnwritable, "RLIMIT_MODE with 23 writable bytes");
        Expect.Equal((23UL, 24UL), (diagnostic.Value, diagnostic.Limit), "the writable and the needed bytes in the diagnostic");
        Expect.Equal(23, reply.Argument!.Length, "bytes copied back");
        Expect.Equal(0U, _context.Model.RlimitMode, "RLIMIT_MODE after EFAULT");
    }

    [Fact]
    public void HUGE_PAGES_is_1_at_first_and_then_what_it_was_set_to()
    {
        var (one, two) = (_context.Add().Id.Value, _context.Add().Id.Value);
        Expect.Equal(1UL, RunOk(new IommuOption { OptionId = HugePages, Op = Get, ObjectId = one }).Val64, "HUGE_PAGES of a new IOAS");
        Expect.Equal(0UL, RunOk(new IommuOption { OptionId = HugePages, Op = Set, ObjectId = one, Val64 = 0 }).Val64, "val64 in the answer to set");
        Expect.Equal(0UL, RunOk(new IommuOption { OptionId = HugePages, Op = Get, ObjectId = one }).Val64, "HUGE_PAGES of the IOAS after it was set");
        Expect.Equal(1UL, RunOk(new IommuOption { OptionId = HugePages, Op = Get, ObjectId = two }).Val64, "HUGE_PAGES of another IOAS");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(uint.MaxValue)]
    public void HUGE_PAGES_of_no_object_is_ENOENT(uint id)
    {
        _context.Add();
        var diagnostic = Run(new IommuOption { OptionId = HugePages, Op = 9, ObjectId = id })
            .Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, $"HUGE_PAGES of id {id}");
        Expect.Equal(new ObjectId(id), diagnostic.ObjectId, "the id in the diagnostic");
    }

    [Fact]
    public void HUGE_PAGES_of_an_object_that_is_no_IOAS_is_ENOENT()
        => Run(new IommuOption { OptionId = HugePages, Op = Get, ObjectId = _context.Add((ObjectType)1000).Id.Value })
            .Fails(Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, "HUGE_PAGES of an object of another type");

    [Fact]
    public void HUGE_PAGES_of_another_value_is_EINVAL_and_of_another_op_EOPNOTSUPP()
    {
        var id = _context.Add().Id.Value;
        var diagnostic = Run(new IommuOption { OptionId = HugePages, Op = Set, ObjectId = id, Val64 = 2 })
            .Fails(Errno.EINVAL, DiagnosticReason.InvalidOptionValue, "HUGE_PAGES 2");
        Expect.Equal(2UL, diagnostic.Value, "the value in the diagnostic");
        diagnostic = Run(new IommuOption { OptionId = HugePages, Op = 2, ObjectId = id, Val64 = 2 })
            .Fails(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOp, "HUGE_PAGES, op 2");
        Expect.Equal(2UL, diagnostic.Value, "the op in the diagnostic");
        Expect.Equal(1UL, RunOk(new IommuOption { OptionId = HugePages, Op = Get, ObjectId = id }).Val64, "HUGE_PAGES after both were refused");
    }

    [Fact]
    public void HUGE_PAGES_is_EFAULT_where_the_answer_cannot_be_written()
        => _context.Run(IommuCommand.Option, new IommuOption { OptionId = HugePages, Op = Get, ObjectId = _context.Add().Id.Value }, writable: 0)
            .Fails(Errno.EFAULT, DiagnosticReason.ArgumentUnwritable, "HUGE_PAGES with nothing writable");

    [Fact]
    public void HUGE_PAGES_of_an_IOAS_whose_grain_fails_is_EIO()
    {
        var entry = _context.Add();
        RunOk(new IommuOption { OptionId = HugePages, Op = Get, ObjectId = 1 });
        _context.GrainOf(1).Failure = new TimeoutException("no answer");
        var diagnostic = Run(new IommuOption { OptionId = HugePages, Op = Get, ObjectId = 1 })
            .Fails(Errno.EIO, DiagnosticReason.ObjectUnreachable, "HUGE_PAGES of a grain that fails");
        Expect.Equal((entry.Id, ObjectType.Ioas), (diagnostic.ObjectId, diagnostic.ObjectType), "the object in the diagnostic");
        _context.GrainOf(1).Failure = null;
        RunOk(new IommuOption { OptionId = HugePages, Op = Get, ObjectId = 1 });
    }

    private IoctlReply Run(IommuOption argument) => _context.Run(IommuCommand.Option, argument);

    private IommuOption RunOk(IommuOption argument) => _context.RunOk(IommuCommand.Option, argument);
}
