namespace IommuFd.GrainInterfaces;

/// <summary>Whether a context outlives the silo that runs it.</summary>
public enum ContextMode
{
    /// <summary>The context lives in memory and dies with its silo, as a file descriptor dies with its kernel.</summary>
    Volatile = 0,

    /// <summary>The context is rebuilt from its journal where its silo fails: what it has answered is never lost, and never happens twice.</summary>
    Durable,
}
