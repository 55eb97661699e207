namespace IommuFd.GrainInterfaces;

/// <summary>Whether a context outlives the silo that runs it.</summary>
public enum ContextMode
{
    /// <summary>The context lives in memory and dies with its silo, as a file descriptor dies with its kernel.</summary>
    Volatile = 0,

    /// <summary>The context recovers from its journal if its silo fails: an answered request is never lost and never runs twice.</summary>
    Durable,
}
