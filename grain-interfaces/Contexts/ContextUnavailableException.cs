namespace IommuFd.GrainInterfaces;

/// <summary>
/// The activation of a context that got a request must not answer it: another has taken over, its journal could not be written, or the state of an object was
/// lost with its silo. Whether the request was done is decided by the journal: send it again under the same name, and the answer is the first outcome.
/// </summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextUnavailableException")]
public sealed class ContextUnavailableException : Exception
{
    /// <summary>Says why.</summary>
    /// <param name="message">The reason, for people.</param>
    public ContextUnavailableException(string message)
        : base(message)
    {
    }
}
