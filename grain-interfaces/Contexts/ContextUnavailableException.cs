namespace IommuFd.GrainInterfaces;

/// <summary>
/// The context's activation that got a request must not answer it: another activation has taken over, the journal could not be written, or
/// an object's state was lost with its silo. The journal decides whether the request ran: send it again under the same name to get the
/// first outcome.
/// </summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextUnavailableException")]
public sealed class ContextUnavailableException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">The reason, for people.</param>
    public ContextUnavailableException(string message)
        : base(message)
    {
    }
}
