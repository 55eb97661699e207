namespace IommuFd.Chaos.Faults;

/// <summary>The faults injected into a cluster and its clients.</summary>
internal enum FaultKind
{
    /// <summary>A silo is killed: kill -9.</summary>
    KillSilo,

    /// <summary>A silo is paused and continued: SIGSTOP, SIGCONT.</summary>
    PauseSilo,

    /// <summary>A silo is stopped as an operator would: SIGTERM.</summary>
    StopSilo,

    /// <summary>A client process is killed: kill -9.</summary>
    KillClient,

    /// <summary>The database crashes, and is started again.</summary>
    RestartDatabase,

    /// <summary>The database's disk is full for a while. If that ends the server, it is started again once there is room.</summary>
    FillDisk,
}
