using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// Each attempt is bounded by the response timeout that the grain's contract states, which costs nothing as long as answers come. What got no answer is
// sent again; that it is done once is the service's to see to, by the request's name.

/// <summary>Calls grains: sends again what got no answer, and tells answers from the lack of one.</summary>
internal sealed class Transport(IommufdClientOptions options)
{
    /// <summary>Calls a grain.</summary>
    /// <param name="operation">What is asked, for people.</param>
    /// <param name="call">Makes the call. It is told whether it was made before.</param>
    /// <param name="cancellationToken">Stops the waiting.</param>
    public async Task<T> CallAsync<T>(string operation, Func<bool, Task<T>> call, CancellationToken cancellationToken = default)
    {
        try
        {
            return await call(false).WaitAsync(cancellationToken);
        }
        catch (Exception exception) when (IommufdTransportException.IsTransport(exception))
        {
            return await AgainAsync(operation, exception, call, cancellationToken);
        }
    }

    /// <summary>Makes a call again that got no answer, until it gets one or <see cref="IommufdClientOptions.RetryFor"/> is over.</summary>
    /// <exception cref="IommufdTransportException">It is over.</exception>
    public async Task<T> AgainAsync<T>(string operation, Exception failure, Func<bool, Task<T>> call, CancellationToken cancellationToken)
    {
        var time = options.TimeProvider;
        var start = time.GetTimestamp();
        var outcome = IommufdTransportException.OutcomeOf(failure);
        for (var pause = options.Backoff; IommufdTransportException.CanPass(failure) && options.RetryFor - time.GetElapsedTime(start) is var left && left > TimeSpan.Zero;)
        {
            var varied = pause * (0.5 + (Random.Shared.NextDouble() / 2));
            await Task.Delay(varied < left ? varied : left, time, cancellationToken);
            try
            {
                return await call(true).WaitAsync(cancellationToken);
            }
            catch (Exception exception) when (IommufdTransportException.IsTransport(exception))
            {
                failure = exception;
                outcome = IommufdTransportException.OutcomeOf(exception) == TransportOutcome.Unknown ? TransportOutcome.Unknown : outcome;
            }

            pause = pause * 2 < options.MaxBackoff ? pause * 2 : options.MaxBackoff;
        }

        throw IommufdTransportException.From(operation, outcome, failure);
    }

    /// <summary>Puts a reference to a context back.</summary>
    public async Task<ReleaseReport?> PutAsync(string operation, IContextGrain grain, ReferenceId reference)
    {
        var wasSent = false;
        var reply = await CallAsync(
            operation,
            isRepeat =>
            {
                wasSent = isRepeat;
                return grain.PutAsync(reference);
            });

        // One that was sent before and is gone was put by that; what it released is known to a journal only.
        return reply.Errno == Errno.None ? reply.Release
            : reply.Errno == Errno.EBADF && wasSent ? null
            : throw new IommufdException(operation, reply.Errno, reply.Diagnostic);
    }
}
