using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Journaling;

// Records of version 0.1, byte for byte as it wrote them: the operation id stood within the request. Journals that have such records must be
// recovered with every answer that a session may still ask for. Never change these constants; they are what is on disks.

public sealed class EarlierOperationTests
{
    private const long Session = 0x1122334455667788;

    // open: the file of the session.
    private const string Open =
        "3001CE91263625496F6D6D7546642E4F70656E5265636F7264E8E8E820E80803054107766D6D8188776655443322110101E021E808030121E80005E0"
        + "21E80001E0090305C101810000000000000000E0810000B3A69EA1DA08E0";

    // IOMMU_IOAS_ALLOC, request 301 of the session, settled up to 299.
    private const string Ioctl =
        "3001F719424F27496F6D6D7546642E496F63746C5265636F7264E8E8E8200006EE41190C00000000000000000000000903010119C101C10121E88088"
        + "77665544332211016A09015A090101E0E021080301010141190C0000000000000001000000C101C101C101C101E0E0";

    // A batch of IOMMU_IOAS_ALLOC and IOMMU_DESTROY, request 302, settled up to 300, sent for the second time.
    private const string Batch =
        "3001F98B0C3727496F6D6D7546642E42617463685265636F7264E8E8E820200005210006EE41190C00000000000000000000000903010119C101C101"
        + "21E80001010101010101E0E0200002EE411108000000010000000903010111C101C10121E80001010101010101E0E0E0010121E88088776655443322"
        + "110172090162090103E0E02108030121000521080301010141190C0000000000000002000000C101C101C101C101E0200803010101C101C101C101C1"
        + "01C101E0E0C101E0E0";

    // IOMMU_IOAS_MAP without an operation id.
    private const string Unnamed =
        "3001F719424F27496F6D6D7546642E496F63746C5265636F7264E8E8E8200016EE415128000000070000000200000000000000000001000000000000"
        + "1000000000000000500000000000000903010151210003210001010400080102400102400102404101E0E0C10121E80001010101010101E0E0210803"
        + "010101415128000000070000000200000000000000000001000000000000100000000000000050000000000000C101C101C101C101E0E0";

    private static readonly ContextKey Key = new ContextHandle(new Guid("00112233-4455-6677-8899-aabbccddeeff")).Key;

    [Fact]
    public async Task Recovery_reads_session_and_sequence_from_within_the_requests_of_earlier_records()
    {
        var recovered = await RecoverAsync(Open, Ioctl, Batch, Unnamed);

        Expect.Equal(null, recovered.Damage, "the damage");
        Expect.Sequence([2U], recovered.Context!.Objects.After(0).Select(entry => entry.Id.Value), "the objects of the recovered context");
        var replies = recovered.Context.FindSession(Session)!.Replies.Own;
        Expect.Equal(300L, replies.Settled, "what the session has settled");
        Expect.Sequence([301L, 302L], replies.Answers.Keys.Order(), "the requests whose answers are kept");
        Expect.Equal(
            OperationStanding.Answered, replies.Begin(new OperationId(Session, 302, 300, IsRepeat: true), out var answer), "how a repeat of the batch stands");
        Expect.Sequence([Errno.None, Errno.None], ((IoctlBatchReply)answer!).Replies.Select(reply => reply.Errno), "what a repeat of the batch is answered");
    }

    [Fact]
    public async Task The_id_beside_the_request_wins_over_the_one_within()
    {
        var record = (IoctlRecord)Read(Ioctl);
        Expect.Equal(new OperationId(Session, 301, 299), record.Request.OperationOf(default), "the id of a request of an earlier version");
        Expect.Equal(new OperationId(1, 2, 0), record.Request.OperationOf(new OperationId(1, 2, 0)), "the id of a request that has another beside it");

        var recovered = await RecoverAsync(Open, Hex(new IoctlRecord(record.Request, record.Reply, new OperationId(Session, 5, 4))));
        Expect.Sequence([5L], recovered.Context!.FindSession(Session)!.Replies.Own.Answers.Keys, "the requests whose answers are kept");
    }

    [Fact]
    public void A_record_is_no_larger_than_it_was_and_its_id_stands_beside_the_request()
    {
        var ioctl = (IoctlRecord)Read(Ioctl);
        var batch = (BatchRecord)Read(Batch);
        var unnamed = (IoctlRecord)Read(Unnamed);
        var requests = Array.ConvertAll(batch.Request.Requests, Without);
        IsNoLarger(Ioctl, new IoctlRecord(Without(ioctl.Request), ioctl.Reply, ioctl.Request.OperationOf(default)), "an ioctl");
        IsNoLarger(Batch, new BatchRecord(new IoctlBatchRequest { Requests = requests }, batch.Reply, batch.Request.OperationOf(default)), "a batch");
        IsNoLarger(Unnamed, new IoctlRecord(Without(unnamed.Request), unnamed.Reply, default), "an ioctl without an id");
    }

    private static void IsNoLarger(string earlier, JournalRecord record, string what)
    {
        var bytes = Serialization.Serializer.SerializeToArray(record);
        Expect.That(bytes.Length <= earlier.Length / 2, $"The record of {what} has {bytes.Length} bytes; it had {earlier.Length / 2}.");
        var read = Serialization.Serializer.Deserialize<JournalRecord>(bytes)!;
        Expect.Equal((default, Ids(record).Beside), Ids(read), $"the ids within and beside {what}");
    }

    private static (OperationId Within, OperationId Beside) Ids(JournalRecord record) => record is BatchRecord batch
        ? (batch.Request.EmbeddedOperation, batch.Operation)
        : (((IoctlRecord)record).Request.EmbeddedOperation, ((IoctlRecord)record).Operation);

    private static IoctlRequest Without(IoctlRequest request) => new()
    {
        Command = request.Command,
        Argument = request.Argument,
        Tail = request.Tail,
        WritableBytes = request.WritableBytes,
        Buffers = request.Buffers,
        File = request.File,
    };

    private static JournalRecord Read(string record) => Serialization.Serializer.Deserialize<JournalRecord>(Convert.FromHexString(record))!;

    private static string Hex(JournalRecord record) => Convert.ToHexString(Serialization.Serializer.SerializeToArray(record));

    private static async Task<RecoveredContext> RecoverAsync(params string[] records)
    {
        var journal = new MemoryJournal(Key, [.. records.Select(Convert.FromHexString)]);
        var recovery = new ContextRecovery(journal, Serialization.Serializer, new ObjectReach(new FakeGrains().Factory, null), NullLogger.Instance, int.MaxValue);
        return (await recovery.RecoverAsync(Key, CancellationToken.None))!;
    }
}
