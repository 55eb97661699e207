using IommuFd.Linearizability;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Ioctl = IommuFd.Linearizability.Ioctl;

namespace IommuFd.UnitTests.Linearizability;

/// <summary>
/// The checker on histories made by hand. IOMMU_OPTION_RLIMIT_MODE of an empty context is a register; ids show how often something was made
/// or destroyed.
/// </summary>
public sealed class LinearizabilityCheckerTests
{
    private static readonly Ioctl AllocIoas = Ioctl.Of(IommuCommand.IoasAlloc, default(IommuIoasAlloc));

    private static readonly Ioctl Get = Rlimit(IommuOptionOp.Get, 0);

    [Fact]
    public void Right_answers_one_after_the_other_are_linearizable()
        => Expect.Equal(Verdict.Linearizable, Check(Alloc(1, 0, 1), Alloc(2, 2, 3), Destroy(1, 4, 5), Alloc(1, 6, 7)), "a history without overlaps");

    [Fact]
    public void Overlapping_operations_may_have_run_in_the_other_order()
    {
        Expect.Equal(Verdict.Linearizable, Check(Destroy(1, 0, 10), Alloc(1, 1, 5)), "a DESTROY of what was allocated while it ran");
        Expect.Equal(Verdict.Linearizable, Check(Read(1, 0, 10), Write(1, 1, 5)), "a read of what was written while it ran");
    }

    [Fact]
    public void What_changes_nothing_now_may_be_what_changes_something_later()
        => Expect.Equal(Verdict.Linearizable, Check(Write(0, 0, 10), Write(1, 1, 10), Read(0, 11, 12)), "a write of the old value that ran after one of the new");

    [Fact]
    public void Operations_that_do_not_overlap_run_in_the_order_of_time()
    {
        Expect.Equal(Verdict.Violation, Check(Destroy(1, 0, 4), Alloc(1, 5, 6)), "a DESTROY that ended before the ALLOC");
        Expect.Equal(Verdict.Violation, Check(Read(1, 0, 4), Write(1, 5, 6)), "a read of what was written later");
    }

    [Fact]
    public void Of_an_end_and_a_start_at_the_same_time_either_may_have_been_first()
        => Expect.Equal(Verdict.Linearizable, Check(Read(1, 0, 5), Write(1, 5, 6)), "a read that ends as a write starts");

    [Fact]
    public void A_stale_read_is_a_violation()
        => Expect.Equal(Verdict.Violation, Check(Write(1, 0, 1), Read(0, 2, 3)), "a read of what was before the write");

    [Fact]
    public void Reads_of_a_write_that_is_under_way_do_not_go_back()
    {
        Expect.Equal(Verdict.Linearizable, Check(Write(1, 0, 10), Read(0, 1, 2), Read(1, 3, 4)), "the old value, then the new one");
        Expect.Equal(Verdict.Violation, Check(Write(1, 0, 10), Read(1, 1, 2), Read(0, 3, 4)), "the new value, then the old one");
    }

    [Fact]
    public void A_lost_update_is_a_violation()
        => Expect.Equal(Verdict.Violation, Check(Alloc(1, 0, 1), Alloc(1, 2, 3)), "an id that was given out twice");

    [Fact]
    public void What_ran_twice_is_a_violation()
    {
        Expect.Equal(Verdict.Violation, Check(Alloc(1, 0, 1), Alloc(3, 2, 3)), "an ALLOC that left an object of nobody's");
        Expect.Equal(Verdict.Violation, Check(Alloc(1, 0, 1), Destroy(1, 2, 3, Errno.ENOENT)), "a DESTROY that finds its own work done");
    }

    [Fact]
    public void An_answer_that_nothing_explains_is_a_violation()
    {
        Expect.Equal(Verdict.Violation, Check(Alloc(7, 0, 1)), "an id out of nowhere");
        Expect.Equal(Verdict.Violation, Check(Alloc(1, 0, 1), Destroy(1, 2, 3, Errno.EIO)), "an errno that the ioctl does not have");
        Expect.Equal(Verdict.Violation, Check(Alloc(1, 0, 1) with { Answer = new IoctlAnswer(Errno.None) }), "an answer without its bytes");
    }

    [Fact]
    public void What_was_not_answered_may_have_run_or_not()
    {
        var destroy = Destroy(1, 2, null);
        Expect.Equal(Verdict.Linearizable, Check(Alloc(1, 0, 1), destroy, Alloc(1, 3, 4)), "a DESTROY that must have run");
        Expect.Equal(Verdict.Linearizable, Check(Alloc(1, 0, 1), destroy, Alloc(2, 3, 4)), "a DESTROY that can't have run yet");
        Expect.Equal(Verdict.Linearizable, Check(destroy), "a DESTROY alone");
    }

    [Fact]
    public void What_was_not_answered_may_run_late_but_once()
    {
        Expect.Equal(Verdict.Linearizable, Check(Write(1, 0, null), Read(0, 10, 11), Read(1, 20, 21)), "a write that ran between two reads");
        Expect.Equal(Verdict.Violation, Check(Write(1, 0, null), Read(1, 10, 11), Read(0, 20, 21)), "a write that went away again");
        Expect.Equal(Verdict.Violation, Check(Alloc(1, 0, 1), Destroy(1, 2, null), Alloc(1, 3, 4), Alloc(1, 5, 6)), "a DESTROY that ran twice");
    }

    [Fact]
    public void What_was_not_answered_can_t_have_run_before_it_was_sent()
        => Expect.Equal(Verdict.Violation, Check(Alloc(1, 0, 1), Alloc(1, 2, 3), Destroy(1, 4, null)), "a DESTROY that was sent too late");

    [Fact]
    public void Each_of_several_that_were_not_answered_may_have_run()
    {
        HistoryEntry[] entries = [Alloc(1, 0, 1), Destroy(1, 2, null), Destroy(1, 3, null), Alloc(1, 4, 5), Alloc(1, 6, 7)];
        Expect.Equal(Verdict.Linearizable, Check(entries), "two DESTROYs for two ids that were given out again");
        Expect.Equal(Verdict.Violation, Check([.. entries, Alloc(1, 8, 9)]), "two DESTROYs for three");
    }

    [Fact]
    public void A_check_that_reaches_its_limit_says_that_it_does_not_know()
    {
        var entries = Enumerable.Range(0, 20).Select(i => Alloc((uint)(20 - i), 0, 100)).ToArray();
        var result = Run(new CheckLimits { MaxSteps = 10 }, entries);
        Expect.Equal(Verdict.Unknown, result.Verdict, "a check of ten steps");
        Expect.Equal(Verdict.Unknown, Run(new CheckLimits { MaxTime = TimeSpan.Zero }, entries).Verdict, "a check without time");
        Expect.Equal(Verdict.Linearizable, Check(entries), "the same with enough of both");
    }

    [Fact]
    public void An_ioctl_that_the_specification_does_not_know_is_no_verdict()
        => Assert.Throws<NotSupportedException>(() => Check(Operation(Ioctl.Of(IommuCommand.VfioIoas, default(IommuVfioIoas)), 0, 1, new IoctlAnswer(Errno.ENODEV))));

    [Fact]
    public void Orders_that_lead_to_the_same_state_are_searched_once()
    {
        // Maps that overlap in time and commute: 9! orders, but 2^9 sets. What follows them fits none.
        const int Maps = 9;
        var maps = Enumerable.Range(0, Maps).Select(i => Map(0x1000UL * (ulong)i, 2, 100));
        var result = Run(null, [Alloc(1, 0, 1), .. maps, Alloc(9, 200, 201)]);
        Expect.Equal(Verdict.Violation, result.Verdict, "maps, and an id out of nowhere");
        Expect.That(result.Steps < 2 * Maps << Maps, $"It took {result.Steps} steps.");
    }

    [Fact]
    public void A_violation_is_told_with_what_fits_and_what_does_not()
    {
        var result = Run(null, Alloc(1, 0, 10), Map(0x1000, 20, 30), Destroy(1, 40, 50), Alloc(2, 60, 70), Alloc(2, 80, 90));
        Expect.Equal((Verdict.Violation, 3), (result.Verdict, result.Prefix.Count), "the longest order");
        var obstacle = Assert.Single(result.Obstacles);
        Expect.Equal((60L, 1U), (obstacle.Entry.Invoked, UapiStruct.Read<IommuIoasAlloc>(obstacle.Expected.Argument).OutIoasId), "what does not fit");
        var report = LinearizabilityReport.Write(result);
        foreach (var expected in (string[])
            [
                "NOT LINEARIZABLE: 5 operations, 0 of them without an answer",
                "[20, 30] client 1: IOMMU_IOAS_MAP {size=40, flags=0x7, ioas_id=1, user_va=0x70000000, length=4096, iova=4096} = 0 {}",
                "[40, 50] client 1: IOMMU_DESTROY {size=8, id=1} = 0",
                "The state then is a context: empty",
                "[60, 70] client 1: IOMMU_IOAS_ALLOC {size=12, flags=0x0}",
                "was answered     0 {out_ioas_id=2}",
                "should have been 0 {out_ioas_id=1}",
            ])
        {
            Expect.That(report.Contains(expected, StringComparison.Ordinal), $"'{expected}' is not in:\n{report}");
        }
    }

    private static Verdict Check(params HistoryEntry[] entries) => Run(null, entries).Verdict;

    private static LinearizabilityResult Run(CheckLimits? limits, params HistoryEntry[] entries)
        => new LinearizabilityChecker<ContextState>(new ContextSpecification(), limits).Check(new History(entries));

    private static HistoryEntry Operation(Ioctl ioctl, long invoked, long? completed, IoctlAnswer answer)
        => new() { Client = 1, Invoked = invoked, Completed = completed, Ioctl = ioctl, Answer = answer };

    private static HistoryEntry Alloc(uint id, long invoked, long? completed)
        => Operation(AllocIoas, invoked, completed, new IoctlAnswer(Errno.None, UapiStruct.ToBytes(new IommuIoasAlloc { Size = 12, OutIoasId = id })));

    private static HistoryEntry Destroy(uint id, long invoked, long? completed, Errno errno = Errno.None)
        => Operation(Ioctl.Of(IommuCommand.Destroy, new IommuDestroy { Id = id }), invoked, completed, new IoctlAnswer(errno));

    private static HistoryEntry Map(ulong iova, long invoked, long? completed)
    {
        var ioctl = Ioctl.Of(IommuCommand.IoasMap, new IommuIoasMap
        {
            Flags = (uint)(IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable),
            IoasId = 1,
            UserVa = 0x7000_0000,
            Length = 0x1000,
            Iova = iova,
        });
        return Operation(ioctl, invoked, completed, new IoctlAnswer(Errno.None, ioctl.Argument));
    }

    private static HistoryEntry Write(ulong value, long invoked, long? completed)
        => Operation(Rlimit(IommuOptionOp.Set, value), invoked, completed, new IoctlAnswer(Errno.None, Rlimit(IommuOptionOp.Set, value).Argument));

    private static HistoryEntry Read(ulong value, long invoked, long? completed)
        => Operation(Get, invoked, completed, new IoctlAnswer(Errno.None, Rlimit(IommuOptionOp.Get, value).Argument));

    private static Ioctl Rlimit(IommuOptionOp op, ulong value)
        => Ioctl.Of(IommuCommand.Option, new IommuOption { OptionId = (uint)IommuOptionId.RlimitMode, Op = (ushort)op, Val64 = value });
}
