using System.Threading.Tasks.Sources;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

// What an ioctl costs its caller, counted by the runtime for this thread. The grain answers later, as a real one does, but on this thread, and allocates nothing.

public sealed class RequestAllocationTests
{
    private const int Requests = 100_000;

    // The argument, the request, one object that is promise, attempt and place in the session's window, and the caller's own state machine. Before
    // requests were repeated, it was 592.
    private const int BytesForAnIoctl = 440;

    // Sizes of objects are multiples of it.
    private const int AllocationStep = 8;

    private readonly LaterGrain _grain = new();

    [Fact]
    public async Task An_ioctl_that_succeeds_at_once_allocates_no_more_than_one_that_is_sent_once()
    {
        var context = await new IommufdClient(new FakeChannel(_ => _grain)).OpenAsync();
        var allocated = Allocations.Of(() => Run(context)) / Requests;

        // An object more would be a step more for each ioctl. Less than that is the collector's, which has work to do in every round of so many.
        Expect.That(allocated < BytesForAnIoctl + AllocationStep, $"An ioctl allocates {allocated} bytes; it should be {BytesForAnIoctl}.");
    }

    private void Run(IommuContext context)
    {
        for (var i = 0; i < Requests; i++)
        {
            FakeTime.Here(() =>
            {
                var running = context.DestroyAsync(new ObjectId(1));
                _grain.Answer();
                running.GetAwaiter().GetResult();
            });
        }
    }

    private sealed class LaterGrain : FakeGrainBase, IValueTaskSource<IoctlReply>
    {
        private ManualResetValueTaskSourceCore<IoctlReply> _answer;

        public override ValueTask<IoctlReply> IoctlAsync(ContextHandle handle, IoctlRequest request, OperationId operation)
        {
            _answer.Reset();
            return new ValueTask<IoctlReply>(this, _answer.Version);
        }

        public void Answer() => _answer.SetResult(IoctlReply.Success);

        public IoctlReply GetResult(short token) => _answer.GetResult(token);

        public ValueTaskSourceStatus GetStatus(short token) => _answer.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
            => _answer.OnCompleted(continuation, state, token, flags);
    }
}
