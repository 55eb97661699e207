using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// The queues as streams. The fake service has the reads that it will answer, one after the other; without any left, polls wait until a test ends the wait.

public sealed class QueueTests
{
    private static readonly FileTarget Target = new(ContextHandle.NewRandom().Key, new ReferenceId(9), ObjectType.FaultQueue, new ObjectId(5));
    private readonly FakeContextGrain _grain = new();
    private readonly Queue<byte[]> _reads = [];
    private readonly IommufdClient _client;

    public QueueTests()
    {
        _client = new IommufdClient(_grain.Channel);
        _grain.Ioctl = request => (IommuCommand)request.Command == IommuCommand.FaultQueueAlloc
            ? new IoctlReply { Argument = UapiStruct.ToBytes(new IommuFaultAlloc { Size = 16, OutFaultId = 5 }), File = new NewFile(12, Target) }
            : new IoctlReply { Argument = UapiStruct.ToBytes(new IommuVeventqAlloc { Size = 32, OutVeventqId = 6 }), File = new NewFile(24, Target) };
        _grain.Poll = _ => new PollReply(Errno.None, _reads.Count > 0 ? PollEvents.In : PollEvents.None);
        _grain.File = request => request is ReadFileRequest && _reads.TryDequeue(out var data)
            ? new FileReply(Errno.None, data.Length, data)
            : new FileReply(Errno.None, request is WriteFileRequest write ? write.Content.Length : 0);
    }

    private int Reads => Files.OfType<ReadFileRequest>().Count();

    private IEnumerable<FileRequest> Files => _grain.Calls.OfType<(FileTarget, FileRequest Request)>().Select(call => call.Request);

    [Fact]
    public async Task A_queue_has_its_id_and_its_file_which_disposing_closes()
    {
        await using (var queue = await FaultQueueAsync())
        {
            Expect.Equal((new ObjectId(5), Target), (queue.Id, queue.File.Target), "id and target of the fault queue");
            Expect.Equal(0, _grain.Calls.OfType<ReferenceId>().Count(), "references put while it is open");
        }

        Expect.Sequence([Target.Reference], _grain.Calls.OfType<ReferenceId>(), "references put");
        var veventq = await VeventqAsync();
        Expect.Equal((new ObjectId(6), IommuVeventqType.Selftest), (veventq.Id, veventq.Type), "id and kind of the event queue");
        var argument = UapiStruct.Read<IommuVeventqAlloc>(_grain.Calls.OfType<IoctlRequest>().Last().Argument);
        Expect.Equal(
            new IommuVeventqAlloc { Size = 32, ViommuId = 4, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = 16 }, argument, "the argument of VEVENTQ_ALLOC");
    }

    [Fact]
    public async Task An_answer_without_a_file_is_not_believed()
    {
        _grain.Ioctl = _ => IoctlReply.Success;
        await Assert.ThrowsAsync<InvalidDataException>(FaultQueueAsync);
        _grain.Ioctl = _ => new IoctlReply { Errno = Errno.EMFILE };
        Expect.Equal(Errno.EMFILE, (await Assert.ThrowsAsync<IommufdException>(FaultQueueAsync)).Errno, "the errno of a failed allocation");
    }

    [Fact]
    public async Task Faults_come_in_their_groups_and_are_answered_by_their_cookies()
    {
        var queue = await FaultQueueAsync();
        _reads.Enqueue([.. Fault(cookie: 1, pasid: 7), .. Fault(cookie: 2, page: 0x1000), .. Fault(cookie: 2, page: 0x2000)]);
        _reads.Enqueue(Fault(cookie: 3));

        var groups = await TakeAsync(queue.ReadAllAsync(), 3);

        Expect.Sequence<(uint, int)>([(1U, 1), (2, 2), (3, 1)], groups.Select(group => (group.Cookie, group.Faults.Count)), "cookies and numbers of faults");
        Expect.Sequence<uint?>([7, null, null], groups.Select(group => group.Pasid), "PASIDs");
        Expect.Sequence<ulong>([0x1000UL, 0x2000], groups[1].Faults.Select(fault => fault.Addr), "addresses of the second group");
        Expect.Equal(new ObjectId(3), groups[0].Device, "the device");

        await queue.RespondAsync(groups[1], IommuPageResponseCode.Invalid);
        Expect.Sequence(Convert.FromHexString("0200000001000000"), ((WriteFileRequest)Files.Last()).Content, "the response");
        _grain.File = _ => new FileReply(Errno.EINVAL);
        Expect.Equal(
            Errno.EINVAL, (await Assert.ThrowsAsync<IommufdException>(() => queue.RespondAsync(groups[1], IommuPageResponseCode.Success).AsTask())).Errno, "a second response");
    }

    [Fact]
    public async Task Every_group_fits_into_one_read_which_asks_for_whole_faults()
    {
        var queue = await FaultQueueAsync();
        _reads.Enqueue([.. Enumerable.Repeat(Fault(cookie: 1), IoctlLimits.MaxFaultGroup).SelectMany(fault => fault)]);
        Expect.Equal(IoctlLimits.MaxFaultGroup, (await TakeAsync(queue.ReadAllAsync(), 1))[0].Faults.Count, "faults of the longest group");
        Expect.Equal(0UL, Files.OfType<ReadFileRequest>().Single().Count % 40, "bytes of the read beyond whole faults");
    }

    [Fact]
    public async Task The_queue_is_read_only_when_a_group_is_asked_for_and_none_is_left()
    {
        var queue = await FaultQueueAsync();
        _reads.Enqueue([.. Fault(cookie: 1), .. Fault(cookie: 2)]);
        _reads.Enqueue(Fault(cookie: 3));
        var groups = queue.ReadAllAsync();
        Expect.Equal(0, Reads, "reads before anything is asked for");
        await using var enumerator = groups.GetAsyncEnumerator();
        foreach (var (cookie, reads) in new[] { (1U, 1), (2U, 1), (3U, 2) })
        {
            await enumerator.MoveNextAsync();
            Expect.Equal((cookie, reads), (enumerator.Current.Cookie, Reads), "the group, and the reads by then");
        }
    }

    [Fact]
    public async Task Groups_that_an_enumeration_leaves_come_in_the_next()
    {
        var queue = await FaultQueueAsync();
        _reads.Enqueue([.. Fault(cookie: 1), .. Fault(cookie: 2)]);
        Expect.Equal(1U, (await TakeAsync(queue.ReadAllAsync(), 1))[0].Cookie, "the group of the first enumeration");
        Expect.Equal(2U, (await TakeAsync(queue.ReadAllAsync(), 1))[0].Cookie, "the group of the second");
    }

    [Fact]
    public async Task Several_enumerations_share_the_groups()
    {
        var queue = await FaultQueueAsync();
        for (var cookie = 1U; cookie <= 100; cookie++)
        {
            _reads.Enqueue(Fault(cookie));
        }

        var taken = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => TakeAsync(queue.ReadAllAsync(), 25))));

        Expect.Sequence(Enumerable.Range(1, 100).Select(cookie => (uint)cookie), taken.SelectMany(groups => groups).Select(group => group.Cookie).Order(), "all groups");
    }

    [Fact]
    public async Task Nothing_to_read_is_waited_for_by_polls_and_not_read()
    {
        var queue = await FaultQueueAsync();
        var polls = 0;
        _grain.Poll = _ =>
        {
            if (++polls == 3)
            {
                _reads.Enqueue(Fault(cookie: 1));
            }

            return new PollReply(Errno.None, polls < 3 ? PollEvents.Out : PollEvents.In | PollEvents.Out);
        };

        await TakeAsync(queue.ReadAllAsync(), 1);

        Expect.Equal((3, 1), (polls, Reads), "polls and reads");
        Expect.That(
            _grain.Calls.OfType<(FileTarget, TimeSpan Wait)>().All(call => call.Wait == new IommufdClientOptions().AttemptTimeout / 2), "A poll does not wait for half an attempt.");
    }

    [Fact]
    public async Task Cancellation_ends_a_wait_for_faults()
    {
        var queue = await FaultQueueAsync();
        _grain.Faults.Enqueue(Support.Fault.Drops());
        using var cancel = new CancellationTokenSource();
        var waiting = TakeAsync(queue.ReadAllAsync(cancel.Token), 1);
        Expect.That(!waiting.IsCompleted, "The enumeration has ended without faults.");
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Expect.Equal(0, Reads, "reads");
    }

    [Fact]
    public async Task What_is_being_read_when_an_enumeration_is_cancelled_comes_in_the_next()
    {
        var queue = await FaultQueueAsync();
        _reads.Enqueue(Fault(cookie: 1));
        var answer = new TaskCompletionSource();
        _grain.Faults.Enqueue(Support.Fault.Delays(Task.CompletedTask));
        _grain.Faults.Enqueue(Support.Fault.Delays(answer.Task));
        using var cancel = new CancellationTokenSource();
        var waiting = TakeAsync(queue.ReadAllAsync(cancel.Token), 1);
        Expect.Equal(1, Reads, "reads under way");
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);

        var next = TakeAsync(queue.ReadAllAsync(), 1);
        answer.SetResult();
        Expect.Equal((1U, 1), ((await next)[0].Cookie, Reads), "the group, and the reads that brought it");
    }

    [Fact]
    public async Task A_read_that_has_failed_is_thrown_and_the_next_enumeration_reads_again()
    {
        var queue = await FaultQueueAsync();
        var (poll, read) = (_grain.Poll, _grain.File);
        _grain.Poll = _ => new PollReply(Errno.None, PollEvents.In);
        _grain.File = _ => new FileReply(Errno.EBADF);
        Expect.Equal(Errno.EBADF, (await Assert.ThrowsAsync<IommufdException>(() => TakeAsync(queue.ReadAllAsync(), 1))).Errno, "what is thrown");
        (_grain.Poll, _grain.File) = (poll, read);
        _reads.Enqueue(Fault(cookie: 1));
        await TakeAsync(queue.ReadAllAsync(), 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(39)]
    [InlineData(41)]
    public async Task What_are_no_faults_is_not_believed(int bytes)
    {
        var queue = await FaultQueueAsync();
        _reads.Enqueue(new byte[bytes]);
        _reads.Enqueue(Fault(cookie: 1));
        await Assert.ThrowsAsync<InvalidDataException>(() => TakeAsync(queue.ReadAllAsync(), 1));
        await TakeAsync(queue.ReadAllAsync(), 1);
    }

    [Fact]
    public async Task Events_come_with_the_number_of_those_lost_before_them()
    {
        var queue = await VeventqAsync();

        // 2 is lost, which the number of 3 shows. 4 to 6 are lost while the queue is empty, and 7 as well before 8.
        _reads.Enqueue([.. Event(0, 0xA), .. Event(1, 0xB), .. Event(3, 0xC), .. Lost(6)]);
        _reads.Enqueue(Event(8, 0xD));

        var events = await TakeAsync(queue.ReadAllAsync(), 5);

        Expect.Sequence<uint>([0U, 1, 3, 6, 8], events.Select(item => item.Sequence), "the numbers");
        Expect.Sequence<uint>([0U, 0, 1, 3, 1], events.Select(item => item.Lost), "how many were lost before each");
        Expect.Sequence([4, 4, 4, 0, 4], events.Select(item => item.Data.Length), "bytes of data");
        Expect.Equal(IommuVeventqFlags.LostEvents, events[3].Flags, "the flags of the header without data");
        Expect.Equal(0xCU, UapiStruct.Read<IommuViommuEventSelftest>(events[2].Data.Span).VirtId, "the data of the third");
    }

    [Theory]
    [InlineData(int.MaxValue, 0U, 0U)]
    [InlineData(int.MaxValue, 1U, 1U)]
    [InlineData(int.MaxValue - 1, 1U, 2U)]
    [InlineData(5, 5U, int.MaxValue)]
    public async Task Events_lost_where_the_numbers_start_again_are_counted(uint before, uint sequence, uint lost)
    {
        var queue = await VeventqAsync();
        _reads.Enqueue([.. Event(before, 1), .. Event(sequence, 2)]);
        Expect.Equal(lost, (await TakeAsync(queue.ReadAllAsync(), 2))[1].Lost, $"events lost between {before} and {sequence}");
    }

    [Theory]
    [InlineData("00")]
    [InlineData("0000000000000000")]
    [InlineData("0000000000000000010203")]
    [InlineData("01000000FFFFFFFF")]
    public async Task What_is_no_event_is_not_believed(string bytes)
    {
        var queue = await VeventqAsync();
        _reads.Enqueue(Convert.FromHexString(bytes));
        await Assert.ThrowsAsync<InvalidDataException>(() => TakeAsync(queue.ReadAllAsync(), 1));
    }

    [Fact]
    public async Task Events_of_an_unknown_length_are_left_to_the_file()
    {
        var queue = await (await _client.OpenAsync()).AllocateVeventqAsync(new ObjectId(4), (IommuVeventqType)77, 16);
        await Assert.ThrowsAsync<NotSupportedException>(() => TakeAsync(queue.ReadAllAsync(), 1));
    }

    private static async Task<List<T>> TakeAsync<T>(IAsyncEnumerable<T> items, int count)
    {
        var taken = new List<T>();
        await foreach (var item in items)
        {
            taken.Add(item);
            if (taken.Count == count)
            {
                break;
            }
        }

        return taken;
    }

    private static byte[] Fault(uint cookie, uint? pasid = null, ulong page = 0) => UapiStruct.ToBytes(new IommuHwptPgfault
    {
        Flags = (uint)(IommuPgfaultFlags.LastPage | (pasid is null ? 0 : IommuPgfaultFlags.PasidValid)),
        DevId = 3,
        Pasid = pasid ?? 0,
        Addr = page,
        Cookie = cookie,
    });

    private static byte[] Event(uint sequence, uint virtId)
        => [.. UapiStruct.ToBytes(new IommufdVeventHeader { Sequence = sequence }), .. UapiStruct.ToBytes(new IommuViommuEventSelftest { VirtId = virtId })];

    private static byte[] Lost(uint sequence) => UapiStruct.ToBytes(new IommufdVeventHeader { Flags = (uint)IommuVeventqFlags.LostEvents, Sequence = sequence });

    private async Task<IommuFaultQueue> FaultQueueAsync() => await (await _client.OpenAsync()).AllocateFaultQueueAsync();

    private async Task<IommuVeventq> VeventqAsync()
        => await (await _client.OpenAsync()).AllocateVeventqAsync(new ObjectId(4), IommuVeventqType.Selftest, 16);
}
