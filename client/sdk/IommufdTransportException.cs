using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>What is known of a request that got no answer.</summary>
public enum TransportOutcome
{
    /// <summary>It did not run: nothing has changed, and it can be sent again.</summary>
    NotRun = 0,

    /// <summary>It may have run or not, and it was sent again for as long as it should be. It will not run later. Inspect the context before asking anew.</summary>
    Unknown,
}

/// <summary>A request got no answer: a silo or the way to it failed. What an ioctl answers is never reported like this.</summary>
public sealed class IommufdTransportException : Exception
{
    private IommufdTransportException(string operation, TransportOutcome outcome, Exception inner)
        : base($"{operation} got no answer, and {(outcome == TransportOutcome.NotRun ? "did not run" : "may have run")}: {inner.Message}", inner)
    {
        Operation = operation;
        Outcome = outcome;
    }

    /// <summary>What was asked.</summary>
    public string Operation { get; }

    /// <summary>Whether it ran.</summary>
    public TransportOutcome Outcome { get; }

    /// <summary>Whether an exception of a grain call comes from the transport, and not from a bug in the service.</summary>
    internal static bool IsTransport(Exception exception)
        => exception is ContextUnavailableException or OrleansException or TimeoutException or ObjectDisposedException;

    /// <summary>Whether sending it again can help: not where this process's own client is gone.</summary>
    internal static bool CanPass(Exception exception) => exception is not ObjectDisposedException;

    internal static IommufdTransportException From(string operation, Exception exception) => From(operation, OutcomeOf(exception), exception);

    internal static IommufdTransportException From(string operation, TransportOutcome outcome, Exception exception) => new(operation, outcome, exception);

    // A silo that leaves breaks the calls that were under way to it, which may have run; any other rejection comes before the turn.
    internal static TransportOutcome OutcomeOf(Exception exception) => exception switch
    {
        SiloUnavailableException => TransportOutcome.Unknown,
        OrleansMessageRejectionException => TransportOutcome.NotRun,
        _ => TransportOutcome.Unknown,
    };
}
