using System.Security.Cryptography;
using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// Always: every request up to _settled has its answer or was given up; at most IoctlLimits.MaxUnsettled behind it have a number. A request that is slow
// holds those up that would be too far ahead of it, so that the service never keeps more answers than that.

/// <summary>The names of a file's or driver's requests. Thread-safe.</summary>
internal sealed class Session
{
    private readonly Lock _gate = new();
    private readonly bool[] _ended = new bool[IoctlLimits.MaxUnsettled];
    private readonly Queue<TaskCompletionSource<OperationId>> _waiting = new();
    private long _last;
    private long _settled;

    /// <summary>The session's number: random, and never 0.</summary>
    public long Id { get; } = NewId();

    /// <summary>Makes a random number that is not 0.</summary>
    public static long NewId()
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        RandomNumberGenerator.Fill(bytes);
        return BitConverter.ToInt64(bytes) is var id && id != 0 ? id : 1;
    }

    /// <summary>Names the next request, once there is room for it; those who wait get it in their order.</summary>
    public ValueTask<OperationId> BeginAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource<OperationId> waiting;
        lock (_gate)
        {
            if (_waiting.Count == 0 && _last - _settled < IoctlLimits.MaxUnsettled)
            {
                return ValueTask.FromResult(Next());
            }

            waiting = new TaskCompletionSource<OperationId>(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue(waiting);
        }

        return WaitAsync(waiting, cancellationToken);
    }

    /// <summary>Notes that a request has its answer, or is given up.</summary>
    public void End(long sequence)
    {
        lock (_gate)
        {
            _ended[sequence % IoctlLimits.MaxUnsettled] = true;
            while (_settled < _last && _ended[(_settled + 1) % IoctlLimits.MaxUnsettled])
            {
                _ended[++_settled % IoctlLimits.MaxUnsettled] = false;
            }

            while (_last - _settled < IoctlLimits.MaxUnsettled && _waiting.TryDequeue(out var waiting))
            {
                if (!waiting.Task.IsCompleted && !waiting.TrySetResult(Next()))
                {
                    // Nobody waits any more: the number was the last one given, and is free for the next.
                    _last--;
                }
            }
        }
    }

    private static async ValueTask<OperationId> WaitAsync(TaskCompletionSource<OperationId> waiting, CancellationToken cancellationToken)
    {
        await using var _ = cancellationToken.UnsafeRegister(static (state, token) => ((TaskCompletionSource<OperationId>)state!).TrySetCanceled(token), waiting);
        return await waiting.Task;
    }

    private OperationId Next() => new(Id, ++_last, _settled);
}
