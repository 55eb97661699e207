using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>
/// A request got no answer, however often it was sent: a silo or the connection to it failed for longer than <see cref="IommufdClientOptions.RetryFor"/>. An errno is an answer
/// and is never reported like this.
/// </summary>
public sealed class IommufdTransportException : Exception
{
    // Orleans' runtime in this process answers this at once after it was told to stop.
    private const string HostIsShuttingDown = "The local Orleans host is shutting down";

    // Orleans' client answers this for a request that was under way when the connection ended. The request may have reached the silo.
    private const string ConnectionEnded = "Client is rejecting message";

    private IommufdTransportException(string operation, TransportOutcome outcome, string message, Exception inner)
        : base($"{operation} got no answer{message}, and {(outcome == TransportOutcome.NotRun ? "did not run" : "may have run")}: {inner.Message}", inner)
    {
        Operation = operation;
        Outcome = outcome;
    }

    /// <summary>The request: the command's kernel name, for example <c>IOMMU_DESTROY</c>, or another name.</summary>
    public string Operation { get; }

    /// <summary>Whether the request ran.</summary>
    public TransportOutcome Outcome { get; }

    /// <summary>Whether an exception of a grain call is a transport failure, after which the call can be repeated, and not a bug in the service.</summary>
    /// <remarks>
    /// OrleansException: no gateway or silo could be reached, one left or is overloaded, or an activation could not be created. TimeoutException: no answer.
    /// OperationCanceledException, if not by the caller, and ObjectDisposedException: a silo was stopping. ContextUnavailableException: the service asks for a repeat.
    /// </remarks>
    internal static bool IsTransport(Exception exception)
        => exception is OrleansException or TimeoutException or OperationCanceledException or ObjectDisposedException or IOException or ContextUnavailableException;

    /// <summary>Whether an attempt failed at once because this process's own Orleans client or silo has stopped, or because a gateway refuses the client. Repeating is hopeless then.</summary>
    internal static bool IsClosed(Exception exception)
        => exception is ObjectDisposedException or GatewayRefusalException
            || (exception is SiloUnavailableException && exception.Message.StartsWith(HostIsShuttingDown, StringComparison.Ordinal));

    /// <summary>Whether an attempt that failed with this exception may have run.</summary>
    /// <remarks>
    /// A leaving silo breaks the calls that are under way to it, which may have run. All other rejections come before the turn: from an overloaded gateway or activation, or
    /// because no activation could be found or created.
    /// </remarks>
    internal static TransportOutcome OutcomeOf(Exception exception) => exception switch
    {
        SiloUnavailableException => TransportOutcome.Unknown,
        OrleansMessageRejectionException => exception.Message.StartsWith(ConnectionEnded, StringComparison.Ordinal) ? TransportOutcome.Unknown : TransportOutcome.NotRun,
        GatewayTooBusyException or LimitExceededException or GatewayRefusalException => TransportOutcome.NotRun,
        _ => TransportOutcome.Unknown,
    };

    internal static IommufdTransportException From(string operation, Exception exception) => new(operation, OutcomeOf(exception), "", exception);

    internal static IommufdTransportException GaveUp(string operation, Exception? failure, int attempts, TimeSpan elapsed, bool mayHaveRun) => new(
        operation,
        mayHaveRun ? TransportOutcome.Unknown : TransportOutcome.NotRun,
        attempts == 1 ? "" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $" to {attempts} attempts in {elapsed.TotalSeconds:0.0} s"),
        failure ?? new TimeoutException("No attempt was answered in time."));
}
