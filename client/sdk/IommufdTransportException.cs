using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>
/// A request got no answer, however often it was sent: a silo or the way to it failed, for longer than <see cref="IommufdClientOptions.RetryFor"/>. What an ioctl
/// answers is never reported like this.
/// </summary>
public sealed class IommufdTransportException : Exception
{
    // What Orleans' runtime of this process answers at once when it has been told to stop.
    private const string HostIsShuttingDown = "The local Orleans host is shutting down";

    // What Orleans' client answers for a request that was on its way when the connection ended. It may have got through.
    private const string ConnectionEnded = "Client is rejecting message";

    private IommufdTransportException(string operation, TransportOutcome outcome, string message, Exception inner)
        : base($"{operation} got no answer{message}, and {(outcome == TransportOutcome.NotRun ? "did not run" : "may have run")}: {inner.Message}", inner)
    {
        Operation = operation;
        Outcome = outcome;
    }

    /// <summary>What was asked.</summary>
    public string Operation { get; }

    /// <summary>Whether it ran.</summary>
    public TransportOutcome Outcome { get; }

    /// <summary>Whether an exception of a grain call comes from the way to the grain, so that the call can be made again, and not from a bug in the service.</summary>
    /// <remarks>
    /// OrleansException: no gateway or silo to send to, one that left or is overloaded, an activation that could not be made. TimeoutException: no answer. Operations
    /// that were cancelled, but not by the caller, and what was disposed: a silo that was stopping. ContextUnavailableException: the service itself asks for a repeat.
    /// </remarks>
    internal static bool IsTransport(Exception exception)
        => exception is OrleansException or TimeoutException or OperationCanceledException or ObjectDisposedException or IOException or ContextUnavailableException;

    /// <summary>Whether an attempt that failed at once did so because this process's own way to the grains has ended, which does not pass.</summary>
    internal static bool IsClosed(Exception exception)
        => exception is ObjectDisposedException
            || (exception is SiloUnavailableException && exception.Message.StartsWith(HostIsShuttingDown, StringComparison.Ordinal));

    /// <summary>Whether an attempt that failed so may have run.</summary>
    /// <remarks>
    /// A silo that leaves breaks the calls that were under way to it, which may have run. The other rejections come before the turn: of a gateway or an activation
    /// that is overloaded, or of a silo that no activation could be found or made on.
    /// </remarks>
    internal static TransportOutcome OutcomeOf(Exception exception) => exception switch
    {
        SiloUnavailableException => TransportOutcome.Unknown,
        OrleansMessageRejectionException => exception.Message.StartsWith(ConnectionEnded, StringComparison.Ordinal) ? TransportOutcome.Unknown : TransportOutcome.NotRun,
        GatewayTooBusyException or LimitExceededException => TransportOutcome.NotRun,
        _ => TransportOutcome.Unknown,
    };

    internal static IommufdTransportException From(string operation, Exception exception) => new(operation, OutcomeOf(exception), "", exception);

    internal static IommufdTransportException GaveUp(string operation, Exception? failure, int attempts, TimeSpan elapsed, bool mayHaveRun) => new(
        operation,
        mayHaveRun ? TransportOutcome.Unknown : TransportOutcome.NotRun,
        attempts == 1 ? "" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $" to {attempts} attempts in {elapsed.TotalSeconds:0.0} s"),
        failure ?? new TimeoutException("No attempt was answered in its time."));
}
