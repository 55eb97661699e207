using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Silo.Gateway.Programs;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Pins;

/// <summary>Limits of locked memory: a context's requests, charged by the gateway's own accounts.</summary>
public sealed class LimitTests
{
    private const ulong Page = 0x1000;
    private const long Limit = 16;

    private readonly LockedMemory _locked = new("64K", _ => true);
    private readonly List<MemoryCharge> _told = [];

    [Fact]
    public void More_than_the_limit_is_ENOMEM_and_changes_nothing()
    {
        var context = Open();
        var ioas = context.AllocateIoas();
        Expect.Equal(Errno.None, Map(context, ioas, 0, Limit + 1).Errno, "mapping past the limit without a page table");
        var before = context.Snapshot();
        var diagnostic = context.TryMockDomain(ioas).Fails(Errno.ENOMEM, DiagnosticReason.TooMuchLockedMemory, "attaching to it");
        Expect.Equal((17UL, 16UL), (diagnostic.Value, diagnostic.Limit), "pages that would be locked, and that may be");
        Expect.Equal("68 KiB of memory would be locked, and RLIMIT_MEMLOCK is 64 KiB: raise it, or unmap or detach first", diagnostic.ToString(), "what is said of it");
        Expect.Equal((before, 0L), (context.Snapshot(), context.ObjectGrains.Pins.Total), "the context and its pinned pages after the failure");
        Settle(context);
        Expect.Equal(Errno.None, Pin(Open(program: 2), Limit).Errno, "another program's attach to as many as the limit");
    }

    [Fact]
    public void What_is_unpinned_can_be_pinned_again_however_it_was_unpinned()
    {
        var context = Open();
        var ioas = context.AllocateIoas();
        Map(context, ioas, 0, Limit);
        var mock = context.MockDomain(ioas);
        Map(context, ioas, 64, 1).Fails(Errno.ENOMEM, DiagnosticReason.TooMuchLockedMemory, "one page more");
        context.RunOk(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = ioas, Length = ulong.MaxValue });
        Settle(context);
        Expect.Equal(Errno.None, Map(context, ioas, 0, Limit).Errno, "mapping as much after all was unmapped");
        Expect.Equal(Errno.None, context.TryDestroy(mock.OutStdevId).Errno, "detaching");
        Settle(context);
        Expect.Equal((0L, 0L), (context.ObjectGrains.Pins.Total, _told[^1].Pages), "pages that are pinned, and that the gateway was told of last");
        Expect.Equal(Errno.None, Pin(Open(), Limit).Errno, "attaching elsewhere");
    }

    [Theory]
    [InlineData(0, Errno.ENOMEM)]
    [InlineData(1, Errno.None)]
    public void A_user_has_one_limit_and_a_process_has_one_by_RLIMIT_MODE(uint mode, Errno errno)
    {
        Expect.Equal(Errno.None, Pin(Open(program: 1, mode), Limit).Errno, "the first program's attach");
        Expect.Equal(errno, Pin(Open(program: 2, mode), Limit).Errno, "that of another program of the user");
        Expect.Equal(Errno.ENOMEM, Pin(Open(program: 1, mode), 1).Errno, "a further attach of the first program, in another context");
    }

    [Fact]
    public void A_copy_that_is_pinned_elsewhere_costs_nothing()
    {
        var context = Open();
        var (from, to) = (context.AllocateIoas(), context.AllocateIoas());
        Map(context, from, 0, Limit);
        context.MockDomain(from);
        context.MockDomain(to);
        context.RunOk(IommuCommand.IoasCopy, new IommuIoasCopy
        {
            Flags = 7,
            DstIoasId = to,
            SrcIoasId = from,
            Length = Limit * Page,
            DstIova = TestDevices.ApertureStart,
            SrcIova = TestDevices.ApertureStart,
        });
        Expect.Equal(Limit, context.ObjectGrains.Pins.Total, "pinned pages");
        Map(context, to, 64, 1).Fails(Errno.ENOMEM, DiagnosticReason.TooMuchLockedMemory, "one page more");
    }

    [Fact]
    public async Task A_recovered_context_tells_again_what_it_has_pinned()
    {
        var context = Open();
        Pin(context, Limit);
        var restored = OpenContext.Restore(context.Capture());
        _told.Clear();
        await ProgramsOf().SettleAsync(restored.ObjectGrains.Pins);
        Expect.Sequence([new MemoryCharge(1, default, PinAccount.User, Limit, IsFact: true)], _told, "what the gateway is told");
        Expect.Equal(Errno.ENOMEM, Pin(Open(), 1).Errno, "one page more in another context");
    }

    [Fact]
    public void A_replay_takes_the_verdict_from_the_record_and_asks_nobody()
    {
        var context = Open();
        var ioas = context.AllocateIoas();
        Map(context, ioas, 0, Limit + 1);
        context.TryMockDomain(ioas);
        var taken = context.Programs!.Take();
        Expect.That(taken is not null, "The refusal is not recorded.");
        _told.Clear();
        context.Programs = ProgramMemory.Replay(taken);
        context.TryMockDomain(ioas).Fails(Errno.ENOMEM, DiagnosticReason.TooMuchLockedMemory, "the replayed attach");
        context.Programs = ProgramMemory.Replay(null);
        Expect.Equal(Errno.None, context.TryMockDomain(ioas).Errno, "the replay of one that was granted");
        Expect.Sequence([], _told, "what the gateway was told");
    }

    private OpenContext Open(long program = 1, uint mode = 0)
    {
        var context = new OpenContext { Programs = ProgramsOf((ulong)_lastTag++), Program = program };
        context.Model.RlimitMode = mode;
        return context;
    }

    private int _lastTag = 1;

    private ProgramMemory ProgramsOf(ulong tag = 0)
        => new(FakeGrainFactory.For((_, _) => new Gateway(this)), TimeSpan.FromSeconds(1), null, new ContextTag(tag));

    private static IoctlReply Pin(OpenContext context, long pages)
    {
        var ioas = context.AllocateIoas();
        Expect.Equal(Errno.None, Map(context, ioas, 0, pages).Errno, "mapping without a page table");
        return context.TryMockDomain(ioas);
    }

    private static IoctlReply Map(OpenContext context, uint ioas, ulong page, long pages) => context.Run(new IoctlRequest
    {
        Command = (uint)IommuCommand.IoasMap,
        Argument = UapiStruct.ToBytes(new IommuIoasMap
        {
            Size = 40,
            Flags = 7,
            IoasId = ioas,
            UserVa = 0x10000 + (page * Page),
            Length = (ulong)pages * Page,
            Iova = TestDevices.ApertureStart + (page * Page),
        }),
        WritableBytes = 40,
        Buffers = [new UserBuffer { ReadableBytes = ulong.MaxValue, WritableBytes = ulong.MaxValue }],
        Memory = new MemorySource(GrainId.Create("sys.client", "gateway"), context.Program),
        Limits = CallerLimits.LockedMemory,
    });

    private static void Settle(OpenContext context)
    {
        var settled = context.Programs!.SettleAsync(context.ObjectGrains.Pins);
        Expect.That(settled.IsCompletedSuccessfully, "Telling what is pinned takes time.");
    }

    private sealed class Gateway(LimitTests test) : IMemoryObserver
    {
        public Task<MemoryAnswer> LookAsync(MemoryQuestion question) => Task.FromResult(new MemoryAnswer(IsKnown: true, question.Pieces.Length));

        public Task<MemoryVerdict> ChargeAsync(MemoryCharge charge)
        {
            test._told.Add(charge);
            return Task.FromResult(test._locked.Charge(charge, new GatewayProgram(GrainId.Create("sys.client", "gateway"), charge.Memory, Environment.ProcessId)));
        }
    }
}
