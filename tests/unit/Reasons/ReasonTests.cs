using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Reasons;

// A reason that is false beside an errno that is right sends people to the wrong place. Each row provokes one rule of one command, driver's request or file, and has
// what must be said of it: the rule that failed, with the numbers of the request or of the table.

/// <summary>What people are told about each failure.</summary>
public sealed class ReasonTests
{
    private static readonly Dictionary<string, Row> Rows = Mappings.Rows.Concat(Devices.Rows).Concat(Guests.Rows).Concat(Selftests.Rows).Concat(Others.Rows).ToDictionary(row => row.What);

    // What no ioctl, driver's request or file of a context answers: the context's grain says it before it asks the context, or the SDK does. Each with its test.
    private static readonly Dictionary<DiagnosticReason, (string File, string Test)> Elsewhere = new()
    {
        [DiagnosticReason.ContextNotOpen] = ("unit/Model/ContextModelTests.cs", "Get_on_a_closed_context_is_EBADF"),
        [DiagnosticReason.ContextAlreadyOpen] = ("unit/Model/ContextModelTests.cs", "Opening_an_open_context_is_EEXIST_and_changes_nothing"),
        [DiagnosticReason.TooManyReferences] = ("unit/Dispatch/LimitTests.cs", "One_reference_too_many_is_EMFILE"),
        [DiagnosticReason.TooManyContexts] = ("unit/Dispatch/LimitTests.cs", "One_context_too_many_of_an_opener_is_EMFILE_and_of_a_silo_ENFILE"),
        [DiagnosticReason.SessionNotFound] = ("cluster/Durability/DurableContextTests.cs", "A_request_of_a_session_that_has_no_reference_is_EBADF"),
        [DiagnosticReason.OperationSettled] = ("cluster/Durability/DurableContextTests.cs", "A_repeated_request_is_done_once_also_by_the_next_activation"),
        [DiagnosticReason.TooManyUnsettled] = ("unit/Model/ReplayWindowTests.cs", "A_session_that_settles_nothing_is_bounded"),
        [DiagnosticReason.BatchTooLong] = ("cluster/Ioctls/SdkTests.cs", "A_batch_beyond_the_limit_is_E2BIG_and_runs_nothing"),
        [DiagnosticReason.AnswerTooLarge] = ("cluster/Operations/LargeMessageTests.cs", "A_batch_that_could_answer_too_much_is_E2BIG_and_clears_no_dirty_bit"),
        [DiagnosticReason.TooManyPieces] = ("unit/Dispatch/AnswerLimitTests.cs", "More_areas_than_a_message_carries_can_t_be_copied_at_once"),
        [DiagnosticReason.TooManyRanges] = ("unit/Dispatch/AnswerLimitTests.cs", "More_ranges_than_a_reply_carries_are_ENOMEM_unless_the_array_is_smaller"),
        [DiagnosticReason.OwnedByOtherCluster] = ("cluster/Durability/TwoClustersTests.cs", "A_context_stays_with_its_cluster"),
        [DiagnosticReason.JournalDamaged] = ("cluster/Durability/DamagedJournalTests.cs", "A_damaged_record_stops_its_context_with_a_clear_error_and_no_other"),
        [DiagnosticReason.NoJournal] = ("cluster/Durability/DurableContextTests.cs", "A_silo_without_a_journal_has_no_durable_contexts"),
        [DiagnosticReason.NoFreeDescriptor] = ("unit/Client/OpenedFilesTests.cs", "Without_a_descriptor_to_give_the_ioctl_is_EMFILE_and_the_file_is_closed_again"),
        [DiagnosticReason.DmaBufInUse] = ("unit/Devices/DmaBufTests.cs", "One_context_too_many_is_ENOMEM_until_the_dma_buf_is_revoked"),
        [DiagnosticReason.NotImplemented] = ("unit/Dispatch/PrevalidationTests.cs", "A_command_without_a_handler_is_EOPNOTSUPP_once_it_is_well_formed"),
        [DiagnosticReason.RlimitModeNotPermitted] = ("unit/Dispatch/OptionHandlerTests.cs", "RLIMIT_MODE_without_CAP_SYS_RESOURCE_can_be_read_and_setting_it_is_EPERM"),
        [DiagnosticReason.TooMuchLockedMemory] = ("unit/Pins/LimitTests.cs", "More_than_the_limit_is_ENOMEM_and_changes_nothing"),
        [DiagnosticReason.PagesMapped] = ("programs/BridgeTests.cs", "A_test_program_finds_what_it_expects"),
        [DiagnosticReason.None] = ("unit/Objects/Ioas/IoasChangeTests.cs", "A_change_that_fails_in_any_place_undoes_those_before_it"),
    };

    // What no test provokes: every emulated IOMMU keeps caches coherent, a journal that replays otherwise is another version's, and no session keeps so much.
    private static readonly DiagnosticReason[] Unprovoked = [DiagnosticReason.NotCacheCoherent, DiagnosticReason.JournalDiverged, DiagnosticReason.TooManyUnsettledBytes];

    public static TheoryData<string> Failures => [.. Rows.Keys];

    [Theory]
    [MemberData(nameof(Failures))]
    public void What_is_said_of_a_failure_is_so(string what)
    {
        var row = Rows[what];
        var (errno, diagnostic) = row.Ask(new World());
        Expect.Equal(row.Errno, errno, $"the errno of {what} ({diagnostic})");
        Expect.That(diagnostic is not null, $"{what}: nobody says why.");
        Expect.Equal(
            (row.Reason, row.Value, row.Limit, row.Id, row.Overlap), (diagnostic.Reason, diagnostic.Value, diagnostic.Limit, diagnostic.ObjectId.Value, diagnostic.Overlap),
            $"reason, value, limit, object and overlap of {what} ({diagnostic})");
        Expect.Equal(row.Says, diagnostic.ToString(), $"what is said of {what}");
    }

    [Fact]
    public void Every_reason_is_provoked_by_a_row_or_by_a_test_that_is_there()
    {
        var provoked = Rows.Values.Select(row => row.Reason).ToHashSet();
        foreach (var reason in Enum.GetValues<DiagnosticReason>())
        {
            int[] places = [provoked.Contains(reason) ? 1 : 0, Elsewhere.ContainsKey(reason) ? 1 : 0, Unprovoked.Contains(reason) ? 1 : 0];
            Expect.Equal(1, places.Sum(), $"the places of {reason}: a row, a test elsewhere, or none that can be");
        }

        foreach (var (reason, (file, test)) in Elsewhere)
        {
            Expect.That(
                File.ReadAllText(Path.Combine(Repository.Root, "tests", file)).Contains($" {test}(", StringComparison.Ordinal), $"{reason}: {file} has no test {test}.");
        }
    }
}
