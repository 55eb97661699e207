using System.Runtime.ExceptionServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// Attempts overlap: an attempt that has timed out is not cancelled, since its answer may just be slow, such as that of closing a context with very many objects. The first
// answer counts, except an error of an attempt that was repeated since: the repeat may have succeeded, and the error would hide that.
//
// Nothing here resumes on the caller's synchronization context or task scheduler: continuations run where the answer or the timer completes.

/// <summary>How an attempt failed that will be repeated.</summary>
/// <param name="Failure">The exception.</param>
/// <param name="IsImmediate">Whether it was thrown before anything was sent.</param>
internal sealed record FailedAttempt(Exception Failure, bool IsImmediate);

/// <summary>Calls grains until there is an answer, and tells an answer from a missing one.</summary>
/// <param name="options">How long to wait and to repeat.</param>
/// <param name="routes">Ends the wait of each attempt when the ways to silos change.</param>
internal sealed class Transport(IommufdClientOptions options, RouteChanges routes)
{
    private readonly IommufdClientOptions _options = options;
    private readonly RouteChanges _routes = routes;
    private volatile bool _isStopped;

    /// <summary>From now on, sends nothing a second time.</summary>
    public void Stop() => _isStopped = true;

    /// <summary>Calls a grain, and repeats the call while no answer comes. Throws the SDK's own exception in the end.</summary>
    /// <param name="operation">What is called, as text for people.</param>
    /// <param name="call">Makes one attempt. May be called again at any time.</param>
    /// <param name="succeeded">Whether an answer is a success.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    public async Task<T> CallAsync<T>(string operation, Func<Task<T>> call, Predicate<T> succeeded, CancellationToken cancellationToken)
        => (await new Attempts<T>(this, operation, call, succeeded).RunAsync(cancellationToken).ConfigureAwait(false)).Reply;

    /// <summary>Repeats a request of a session whose first attempt failed or timed out.</summary>
    /// <param name="operation">What is sent, as text for people.</param>
    /// <param name="repeat">Makes one attempt. All repeats get the same answer.</param>
    /// <param name="failed">How the first attempt failed; null if it may still be under way.</param>
    /// <param name="elapsed">The time since the first attempt.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    public async Task<T> RepeatAsync<T>(string operation, Func<ValueTask<T>> repeat, FailedAttempt? failed, TimeSpan elapsed, CancellationToken cancellationToken)
    {
        var attempts = new Attempts<T>(this, operation, () => repeat().AsTask(), static _ => true);
        attempts.NoteFirst(failed, elapsed);
        return (await attempts.RunAsync(cancellationToken).ConfigureAwait(false)).Reply;
    }

    /// <summary>Puts a reference to a context.</summary>
    public async Task<ReleaseReport?> PutAsync(string operation, ContextCalls grain, ReferenceId reference, CancellationToken cancellationToken)
    {
        var attempts = new Attempts<PutReply>(this, operation, () => grain.PutAsync(reference), static reply => reply.Errno == Errno.None);
        var (reply, isRepeated) = await attempts.RunAsync(cancellationToken).ConfigureAwait(false);
        return reply.Errno switch
        {
            Errno.None => reply.Release,

            // An earlier attempt has put the reference, or the context was lost with its silo: either way the reference is gone.
            Errno.EBADF when isRepeated => null,
            _ => throw new IommufdException(operation, reply.Errno, reply.Diagnostic),
        };
    }

    /// <summary>Ignores how a task ends.</summary>
    public static void Forget(Task task) => _ = task.ContinueWith(
        static ended => ended.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    private TimeSpan PauseAfter(int failures)
    {
        var longest = Math.Min(_options.MaxBackoff.Ticks, _options.Backoff.Ticks * Math.Pow(2, Math.Min(failures - 1, 30)));
        return TimeSpan.FromTicks((long)(longest * (0.5 + (Random.Shared.NextDouble() / 2))));
    }

    /// <summary>The attempts of one request.</summary>
    private sealed class Attempts<T>(Transport transport, string operation, Func<Task<T>> send, Predicate<T> isFinal)
    {
        private readonly IommufdClientOptions _options = transport._options;
        private readonly List<Task<T>> _pending = [];
        private readonly long _started = transport._options.TimeProvider.GetTimestamp();
        private Task<T>? _newest;
        private Task _change = transport._routes.Next;
        private Exception? _failure;
        private TimeSpan _before;
        private TimeSpan _pause;
        private bool _mayHaveRun;
        private bool _isHopeless;
        private bool _isRerouted;
        private int _sent;

        // The time since the first attempt.
        private TimeSpan Elapsed => _before + _options.TimeProvider.GetElapsedTime(_started);

        /// <summary>Notes the first attempt, which was made elsewhere.</summary>
        public void NoteFirst(FailedAttempt? failed, TimeSpan elapsed)
        {
            (_sent, _before, _mayHaveRun) = (1, elapsed, failed is null);
            if (failed is not null)
            {
                NoteFailure(failed.Failure, failed.IsImmediate);
                _pause = transport.PauseAfter(1);
            }
        }

        public async Task<(T Reply, bool IsRepeated)> RunAsync(CancellationToken cancellationToken)
        {
            try
            {
                while (true)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    if (_sent > 0)
                    {
                        if (_isHopeless || transport._isStopped || Elapsed + _pause >= _options.RetryFor)
                        {
                            throw IommufdTransportException.GaveUp(operation, _failure, _sent, Elapsed, _mayHaveRun || _pending.Count > 0);
                        }

                        if (_pause > TimeSpan.Zero && await AnswerAsync(_pause, endsWithNewest: false, cancellationToken).ConfigureAwait(false) is { } late)
                        {
                            return (late.Result, _sent > 1);
                        }
                    }

                    Send();
                    if (await AnswerAsync(_options.AttemptTimeout, endsWithNewest: true, cancellationToken).ConfigureAwait(false) is { } answer)
                    {
                        return (answer.Result, _sent > 1);
                    }

                    _pause = _isRerouted ? TimeSpan.Zero : transport.PauseAfter(_sent);
                }
            }
            finally
            {
                _pending.ForEach(Forget);
            }
        }

        private void Send()
        {
            _sent++;
            (_change, _isRerouted) = (transport._routes.Next, false);
            try
            {
                _newest = send();
            }
            catch (Exception exception)
            {
                // A grain reference throws what it finds out before it sends anything.
                _newest = Task.FromException<T>(exception);
            }

            _pending.Add(_newest);
        }

        // The first answer. Null if none comes in the given time, or if the newest attempt fails and that ends the wait.
        private async Task<Task<T>?> AnswerAsync(TimeSpan time, bool endsWithNewest, CancellationToken cancellationToken)
        {
            var isImmediate = endsWithNewest;
            for (var until = Elapsed + time; await FirstEndedAsync(until - Elapsed, cancellationToken).ConfigureAwait(false) is { } ended; isImmediate = false)
            {
                _pending.Remove(ended);
                if (ended.IsCompletedSuccessfully)
                {
                    if (ended == _newest || isFinal(ended.Result))
                    {
                        return ended;
                    }

                    _mayHaveRun = true;
                    continue;
                }

                var failure = ended.Exception?.InnerException ?? new TaskCanceledException(ended);
                if (!IommufdTransportException.IsTransport(failure))
                {
                    ExceptionDispatchInfo.Throw(failure);
                }

                NoteFailure(failure, isImmediate);
                if (ended == _newest && endsWithNewest)
                {
                    return null;
                }
            }

            return null;
        }

        private void NoteFailure(Exception failure, bool isImmediate)
        {
            // Why the context is unavailable says more than what Orleans makes of the attempts around it.
            _failure = _failure is ContextUnavailableException && failure is not ContextUnavailableException ? _failure : failure;
            _mayHaveRun |= IommufdTransportException.OutcomeOf(failure) != TransportOutcome.NotRun;
            _isHopeless |= isImmediate && IommufdTransportException.IsClosed(failure);
        }

        private async Task<Task<T>?> FirstEndedAsync(TimeSpan limit, CancellationToken cancellationToken)
        {
            if (_pending.Find(attempt => attempt.IsCompleted) is { } ended)
            {
                return ended;
            }

            if (limit <= TimeSpan.Zero)
            {
                return null;
            }

            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var first = await Task.WhenAny([.. _pending, Task.Delay(limit, _options.TimeProvider, stop.Token), _change]).ConfigureAwait(false);
            stop.Cancel();
            _isRerouted = first == _change;
            if (first is Task<T> attempt)
            {
                return attempt;
            }

            cancellationToken.ThrowIfCancellationRequested();
            return null;
        }
    }
}
