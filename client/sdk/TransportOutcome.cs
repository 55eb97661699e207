namespace IommuFd.Client;

/// <summary>What is known of a request that got no answer.</summary>
public enum TransportOutcome
{
    /// <summary>It did not run: nothing has changed, and it can be sent again.</summary>
    NotRun = 0,

    /// <summary>It may have run or not. It will not run any more once a later request of the same file or driver was answered; inspect the context then.</summary>
    Unknown,
}
