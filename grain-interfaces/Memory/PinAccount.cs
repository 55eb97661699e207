namespace IommuFd.GrainInterfaces;

/// <summary>What pinned pages count against (the kernel's <c>account_mode</c> of pages). Decided when they are mapped.</summary>
public enum PinAccount : byte
{
    /// <summary>No limit: limits are off, or the program that mapped them has CAP_IPC_LOCK.</summary>
    None = 0,

    /// <summary>All that the program's user has locked, RLIMIT_MODE 0.</summary>
    User,

    /// <summary>What the program has locked, RLIMIT_MODE 1.</summary>
    Process,
}
