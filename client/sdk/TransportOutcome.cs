namespace IommuFd.Client;

/// <summary>What is known about a request that got no answer.</summary>
public enum TransportOutcome
{
    /// <summary>The request did not run and never will: nothing has changed, and it can be sent again.</summary>
    NotRun = 0,

    /// <summary>The request may have run, or may still run. It can no longer run once a later request of the same file or driver is answered: inspect the context then.</summary>
    Unknown,
}
