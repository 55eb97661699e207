using System.Collections.Concurrent;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// How requests are numbered. What is settled must need no answer any more, or the service would refuse it; and must be all that is, or it would keep too much.

public sealed class SessionTests
{
    private readonly ClientCore _core = new(new FakeContextGrain().Channel, new IommufdClientOptions());

    [Fact]
    public void Requests_are_numbered_from_1_and_say_what_is_settled()
    {
        var session = new Session(_core);
        Expect.Equal(new OperationId(session.Id, 1, 0), Begin(session), "the first");
        Expect.Equal(new OperationId(session.Id, 2, 0), Begin(session), "the second, while the first has no answer");
        session.End(2, isAnswered: true);
        Expect.Equal(new OperationId(session.Id, 3, 0), Begin(session), "the third, when the second has its answer and the first has none");
        session.End(1, isAnswered: true);
        Expect.Equal(new OperationId(session.Id, 4, 2), Begin(session), "the fourth, when the first two have theirs");
        Expect.Equal(2L, session.Answered, "requests that were answered");
    }

    [Fact]
    public void A_random_order_of_answers_settles_exactly_what_has_its_answer_and_all_before_it()
    {
        for (var seed = 1; seed <= 200; seed++)
        {
            var random = new Random(seed);
            var session = new Session(_core);
            var open = new SortedSet<long>();
            for (var step = 0; step < 2_000; step++)
            {
                var request = new Request(session);
                if (random.Next(2) == 0 && session.TryBegin(request))
                {
                    var operation = request.Operation();
                    var last = open.Count == 0 ? operation.Sequence - 1 : open.Min - 1;
                    Expect.Equal(last, operation.Settled, $"what request {operation.Sequence} of seed {seed} says is settled");
                    open.Add(operation.Sequence);
                }
                else if (open.Count > 0)
                {
                    var ended = random.Next(3) == 0 ? open.Min : open.ElementAt(random.Next(open.Count));
                    open.Remove(ended);
                    session.End(ended, isAnswered: random.Next(2) == 0);
                }

                Expect.That(open.Count == 0 || open.Max - open.Min < IoctlLimits.MaxUnsettled, $"The window of seed {seed} is too large at step {step}: {open.Min} to {open.Max}.");
            }
        }
    }

    [Fact]
    public async Task A_request_without_an_answer_lets_255_behind_it_begin_and_others_wait_in_order()
    {
        var session = new Session(_core);
        for (var sequence = 1; sequence <= IoctlLimits.MaxUnsettled; sequence++)
        {
            Begin(session);
            if (sequence > 1)
            {
                session.End(sequence, isAnswered: true);
            }
        }

        Expect.That(!session.TryBegin(new Request(session)), "There is room for one more.");
        using var cancel = new CancellationTokenSource();
        Request[] requests = [new(session), new(session), new(session)];
        var first = session.BeginAsync(requests[0], CancellationToken.None).AsTask();
        var second = session.BeginAsync(requests[1], cancel.Token).AsTask();
        var third = session.BeginAsync(requests[2], CancellationToken.None).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Expect.That(!first.IsCompleted && !third.IsCompleted, "Those behind have begun without room.");

        session.End(1, isAnswered: false);

        await first;
        await third;
        Expect.Equal(new OperationId(session.Id, 257, 256), requests[0].Operation(), "the first that waited");
        Expect.Equal(new OperationId(session.Id, 258, 256), requests[2].Operation(), "the one behind, after the one between was cancelled");
        Expect.Equal((257L, 0L, 258L), (requests[0].Sequence, requests[1].Sequence, requests[2].Sequence), "the numbers that the requests were given");
    }

    [Fact]
    public async Task Who_comes_later_does_not_overtake_who_waits()
    {
        var session = new Session(_core);
        for (var sequence = 1; sequence <= IoctlLimits.MaxUnsettled; sequence++)
        {
            Begin(session);
        }

        var requests = Enumerable.Range(0, 100).Select(_ => new Request(session)).ToList();
        var waiting = requests.ConvertAll(request => session.BeginAsync(request, CancellationToken.None).AsTask());
        for (var sequence = 1; sequence <= 50; sequence++)
        {
            session.End(sequence, isAnswered: true);
            Expect.That(!session.TryBegin(new Request(session)), "Somebody overtook those who wait.");
        }

        await Task.WhenAll(waiting[..50]);
        Expect.Sequence(Enumerable.Range(257, 50).Select(number => (long)number), requests[..50].Select(request => request.Sequence), "the order of the first 50");
        Expect.That(waiting[50..].TrueForAll(task => !task.IsCompleted), "More have begun than there was room for.");
    }

    [Fact]
    public async Task Many_callers_at_once_never_settle_what_has_no_answer_and_never_have_more_than_256_unsettled()
    {
        const int Callers = 400;
        const int Each = 100;
        var grain = new ScatteringGrain();
        var client = new IommufdClient(new FakeChannel(_ => grain));
        var context = await client.OpenAsync();

        await Task.WhenAll(Enumerable.Range(0, Callers).Select(_ => Task.Run(async () =>
        {
            for (var i = 0; i < Each; i++)
            {
                await context.DestroyAsync(new ObjectId(1));
            }
        }))).WaitAsync(TimeSpan.FromMinutes(1));

        Expect.Sequence([], grain.Broken, "what is broken");
        Expect.Equal((long)Callers * Each, grain.Last, "the number of the last request");
        Expect.That(grain.Most > 200, $"Only {grain.Most} requests were ever under way at once: the test says little.");
    }

    private static OperationId Begin(Session session)
    {
        var request = new Request(session);
        Expect.That(session.TryBegin(request), "There is no room.");
        return request.Operation();
    }

    private sealed class Request(Session session) : SessionRequest(session)
    {
        public override void OnOverdue()
        {
        }
    }

    /// <summary>Answers in any order, on any thread, and looks whether the names make sense.</summary>
    private sealed class ScatteringGrain : FakeGrainBase
    {
        private readonly Lock _lock = new();
        private readonly SortedSet<long> _open = [];
        private readonly HashSet<long> _seen = [];
        private readonly List<(long Sequence, TaskCompletionSource<IoctlReply> Answer)> _held = [];
        private readonly Random _random = new(7);

        public ConcurrentQueue<string> Broken { get; } = [];

        public long Last { get; private set; }

        public int Most { get; private set; }

        public override ValueTask<IoctlReply> IoctlAsync(ContextHandle handle, IoctlRequest request, OperationId operation)
        {
            var answer = new TaskCompletionSource<IoctlReply>(TaskCreationOptions.RunContinuationsAsynchronously);
            TaskCompletionSource<IoctlReply>? ready = null;
            lock (_lock)
            {
                if (!_seen.Add(operation.Sequence) || operation.IsRepeat)
                {
                    Broken.Enqueue($"{operation} came before");
                }

                if (operation.Sequence - operation.Settled > IoctlLimits.MaxUnsettled || (_open.Count > 0 && operation.Settled >= _open.Min))
                {
                    Broken.Enqueue($"{operation} while {_open.Count} have no answer, from {_open.Min} on");
                }

                _open.Add(operation.Sequence);
                Last = Math.Max(Last, operation.Sequence);
                Most = Math.Max(Most, _open.Count);
                _held.Add((operation.Sequence, answer));
                if (_held.Count > 230)
                {
                    ready = Take();
                }
                else
                {
                    // Some are answered soon, so that nobody waits for others who never come.
                    ThreadPool.UnsafeQueueUserWorkItem(_ => AnswerOne(), null);
                }
            }

            ready?.SetResult(IoctlReply.Success);
            return new ValueTask<IoctlReply>(answer.Task);
        }

        public override async ValueTask<IoctlBatchReply> IoctlGroupAsync(ContextHandle handle, IoctlGroup group)
            => new() { Replies = await Task.WhenAll(group.Requests.Select((request, i) => IoctlAsync(handle, request, group.Operations[i]).AsTask())) };

        private void AnswerOne()
        {
            TaskCompletionSource<IoctlReply>? ready;
            lock (_lock)
            {
                ready = Take();
            }

            ready?.SetResult(IoctlReply.Success);
        }

        private TaskCompletionSource<IoctlReply>? Take()
        {
            if (_held.Count == 0)
            {
                return null;
            }

            var index = _random.Next(_held.Count);
            var (sequence, answer) = _held[index];
            _held.RemoveAt(index);
            _open.Remove(sequence);
            return answer;
        }
    }
}
