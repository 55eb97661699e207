using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Time.Testing;

namespace IommuFd.UnitTests.Client;

// What is open lives while this process gives signs of life. They are looked at as the service does: by the time since the last.

public sealed class LeaseTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(60);
    private readonly FakeTimeProvider _time = new();
    private readonly Dictionary<Guid, LeasingGrain> _grains = [];
    private readonly IommufdClient _client;

    public LeaseTests() => _client = new IommufdClient(
        new FakeChannel(handle => _grains.TryGetValue(handle.Value, out var grain) ? grain : _grains[handle.Value] = new LeasingGrain(_time)),
        new IommufdClientOptions { TimeProvider = _time });

    [Fact]
    public async Task Every_file_and_driver_gives_a_sign_of_life_well_within_its_lease()
    {
        for (var i = 0; i < 200; i++)
        {
            var context = await _client.OpenAsync();
            await _client.DuplicateAsync(context.Handle);
            await _client.GetDriverAsync(context.Handle, "driver");
        }

        Pass(5 * Lease);

        var longest = _grains.Values.Max(grain => grain.LongestSilence);
        Expect.That(longest <= Lease * 0.4, $"Somebody gave no sign of life for {longest}, of a lease of {Lease}.");
        var most = _grains.Values.Max(grain => grain.Renewals);
        Expect.That(most <= 5 * 3 + 1, $"A context was renewed {most} times in 5 leases.");
        Expect.That(_grains.Values.All(grain => grain.Together), "The references of a context were not renewed together.");
    }

    [Fact]
    public async Task Very_many_contexts_are_renewed_all_over_the_time()
    {
        for (var i = 0; i < 3_000; i++)
        {
            await _client.OpenAsync();
        }

        Pass(Lease);
        var atOnce = _grains.Values.SelectMany(grain => grain.RenewedAt).GroupBy(at => at).Max(group => group.Count());
        Expect.That(atOnce < 3_000 / 16 * 2, $"{atOnce} of 3000 contexts were renewed at once.");
    }

    [Fact]
    public async Task Who_sends_requests_is_not_renewed_and_gives_signs_of_life_all_the_same()
    {
        var context = await _client.OpenAsync();
        var grain = _grains[context.Handle.Value];
        for (var passed = TimeSpan.Zero; passed < 5 * Lease; passed += Lease / 10)
        {
            await context.AllocateIoasAsync();
            Pass(Lease / 10);
        }

        Expect.Equal(0, grain.Renewals, "renewals");
        Pass(Lease);
        Expect.That(grain.Renewals > 0 && grain.LongestSilence < Lease * 0.75, $"After its last request it was renewed {grain.Renewals} times, and silent for {grain.LongestSilence}.");
    }

    [Fact]
    public async Task Requests_that_get_no_answer_are_no_signs_of_life()
    {
        var context = await _client.OpenAsync();
        var grain = _grains[context.Handle.Value];
        grain.AnswersIoctls = false;
        var running = context.AllocateIoasAsync().AsTask();
        Pass(Lease);
        Expect.That(grain.Renewals >= 2, $"It was renewed {grain.Renewals} times.");
        await Assert.ThrowsAsync<IommufdTransportException>(() => running);
    }

    [Fact]
    public async Task What_is_closed_is_renewed_no_more_and_with_the_last_the_timer_ends()
    {
        var context = await _client.OpenAsync();
        var second = await _client.DuplicateAsync(context.Handle);
        var grain = _grains[context.Handle.Value];
        await context.CloseAsync();
        Pass(Lease);
        Expect.That(grain.LastRenewed is [{ Value: 2 }], $"What was renewed is {string.Join<ReferenceId>(", ", grain.LastRenewed)}.");
        await second.DisposeAsync();
        var renewals = grain.Renewals;
        Pass(2 * Lease);
        Expect.Equal(renewals, grain.Renewals, "renewals after the last was closed");

        await _client.OpenAsync();
        Pass(Lease);
        Expect.That(_grains.Values.Last().Renewals > 0, "What is opened then is not renewed.");
    }

    [Fact]
    public async Task Where_the_service_has_a_reference_no_more_it_is_marked_and_renewed_no_more()
    {
        var context = await _client.OpenAsync();
        var driver = await _client.GetDriverAsync(context.Handle, "driver");
        var grain = _grains[context.Handle.Value];
        grain.Gone.Add(new ReferenceId(2));
        Pass(Lease / 2);
        Expect.Equal((false, true), (context.IsLost, driver.IsLost), "whether the file and the driver are lost");
        grain.Errno = Errno.EBADF;
        Pass(Lease / 2);
        Expect.Equal((true, true), (context.IsLost, driver.IsLost), "whether both are, when the context is");
        var renewals = grain.Renewals;
        Pass(2 * Lease);
        Expect.Equal(renewals, grain.Renewals, "renewals after that");
        await context.CloseAsync();
        await driver.DisposeAsync();
    }

    [Fact]
    public async Task A_renewal_that_fails_or_hangs_is_made_again_soon()
    {
        var context = await _client.OpenAsync();
        var grain = _grains[context.Handle.Value];
        grain.Failures.Enqueue(Task.FromException<RenewReply>(new SiloUnavailableException()));
        grain.Failures.Enqueue(new TaskCompletionSource<RenewReply>().Task);
        grain.Failures.Enqueue(Task.FromException<RenewReply>(new InvalidOperationException("bug")));
        Pass(Lease);
        Expect.That(grain.LongestSilence < Lease * 0.6, $"It was silent for {grain.LongestSilence}.");
        Expect.That(!context.IsLost, "It counts as lost.");
    }

    [Fact]
    public async Task A_context_that_hangs_does_not_keep_others_from_being_renewed()
    {
        for (var i = 0; i < 50; i++)
        {
            var context = await _client.OpenAsync();
            if (i % 2 == 0)
            {
                _grains[context.Handle.Value].Hangs = true;
            }
        }

        Pass(5 * Lease);
        var longest = _grains.Values.Where(grain => !grain.Hangs).Max(grain => grain.LongestSilence);
        Expect.That(longest < Lease * 0.6, $"One was silent for {longest}.");
    }

    [Fact]
    public async Task A_file_that_an_ioctl_opened_is_renewed_until_its_descriptor_is_closed()
    {
        var context = await _client.OpenAsync();
        var grain = _grains[context.Handle.Value];
        grain.Opens = new FileTarget(context.Handle.Key, new ReferenceId(9), ObjectType.Access, new ObjectId(1));
        var memory = new CallerMemory();
        var argument = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.CreateAccess });
        await context.IoctlAsync((uint)IommuCommand.TestCmd, argument, memory);
        Pass(Lease);
        Expect.That(grain.LastRenewed.Contains(new ReferenceId(9)), "It is not renewed.");
        await memory.CloseFilesAsync();
        Pass(Lease);
        Expect.Sequence([new ReferenceId(1)], grain.LastRenewed, "what is renewed when it is closed");
    }

    [Fact]
    public async Task Without_a_lease_nothing_is_renewed()
    {
        var client = new IommufdClient(new FakeChannel(_ => new LeasingGrain(_time) { Lease = TimeSpan.Zero }), new IommufdClientOptions { TimeProvider = _time });
        var context = await client.OpenAsync();
        Pass(10 * Lease);
        Expect.That(!context.IsLost, "It is lost.");
    }

    [Fact]
    public async Task A_client_that_was_stopped_renews_nothing()
    {
        var context = await _client.OpenAsync();
        _client.Stop();
        await _client.OpenAsync();
        Pass(2 * Lease);
        Expect.Equal(0, _grains.Values.Sum(grain => grain.Renewals), "renewals");
        await context.CloseAsync();
    }

    [Fact]
    public async Task Of_100_000_contexts_that_were_opened_and_closed_nothing_stays()
    {
        var core = new ClientCore(new FakeChannel(_ => new LeasingGrain(_time)), new IommufdClientOptions { TimeProvider = _time });
        var opened = new ReferenceReply(Errno.None, new ReferenceId(1), default, ContextMode.Volatile, null, Lease);
        for (var i = 0; i < 100_000; i++)
        {
            await using var context = new IommuContext(core.Grain(ContextHandle.NewRandom()), new Session(core), opened);
        }

        Expect.Equal(0, core.Leases.Count, "references that are kept alive");
    }

    private void Pass(TimeSpan duration) => _time.Pass(duration, TimeSpan.FromMilliseconds(100));

    /// <summary>A context that notes when its references gave signs of life.</summary>
    private sealed class LeasingGrain(FakeTimeProvider time) : FakeGrainBase
    {
        private readonly Dictionary<ReferenceId, DateTimeOffset> _signs = [];
        private readonly Dictionary<long, ReferenceId> _sessions = [];
        private long _last;

        public TimeSpan Lease { get; init; } = LeaseTests.Lease;

        public int Renewals { get; private set; }

        public List<DateTimeOffset> RenewedAt { get; } = [];

        public ReferenceId[] LastRenewed { get; private set; } = [];

        public HashSet<ReferenceId> Gone { get; } = [];

        public Queue<Task<RenewReply>> Failures { get; } = [];

        public Errno Errno { get; set; }

        public bool Hangs { get; set; }

        public bool AnswersIoctls { get; set; } = true;

        public FileTarget? Opens { get; set; }

        public TimeSpan LongestSilence { get; private set; }

        public bool Together { get; private set; } = true;

        public override Task<ReferenceReply> OpenAsync(ContextHandle handle, OpenRequest request) => Task.FromResult(Refer(request.Session));

        public override Task<ReferenceReply> GetAsync(ContextHandle handle, GetRequest request) => Task.FromResult(Refer(request.Session));

        public override ValueTask<IoctlReply> IoctlAsync(ContextHandle handle, IoctlRequest request, OperationId operation)
        {
            if (!AnswersIoctls)
            {
                return new ValueTask<IoctlReply>(new TaskCompletionSource<IoctlReply>().Task);
            }

            Sign(_sessions[operation.Session]);
            return ValueTask.FromResult(Opens is { } target ? new IoctlReply { File = new NewFile(16, target) } : IoctlReply.Success);
        }

        public override Task<RenewReply> RenewAsync(ContextHandle handle, ReferenceId[] references)
        {
            Renewals++;
            RenewedAt.Add(time.GetUtcNow());
            LastRenewed = references;
            Together &= references.Length == _signs.Count;
            if (Hangs)
            {
                return new TaskCompletionSource<RenewReply>().Task;
            }

            if (Failures.TryDequeue(out var failure))
            {
                return failure;
            }

            Array.ForEach(references, Sign);
            return Task.FromResult(new RenewReply(Errno, [.. references.Where(Gone.Contains)]));
        }

        private ReferenceReply Refer(long session)
        {
            var reference = new ReferenceId(++_last);
            _sessions[session] = reference;
            Sign(reference);
            return new ReferenceReply(Errno.None, reference, default, ContextMode.Volatile, null, Lease);
        }

        private void Sign(ReferenceId reference)
        {
            var now = time.GetUtcNow();
            var silence = _signs.TryGetValue(reference, out var last) ? now - last : TimeSpan.Zero;
            LongestSilence = silence > LongestSilence ? silence : LongestSilence;
            _signs[reference] = now;
        }
    }
}
