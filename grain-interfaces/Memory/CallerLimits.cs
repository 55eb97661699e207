namespace IommuFd.GrainInterfaces;

/// <summary>What an ioctl's caller may not do because it lacks a capability. Callers lack none unless limits of locked memory are on.</summary>
[Flags]
public enum CallerLimits : byte
{
    /// <summary>It may do everything.</summary>
    None = 0,

    /// <summary>What it maps has a limit while it is pinned: it lacks CAP_IPC_LOCK.</summary>
    LockedMemory = 1 << 0,

    /// <summary>It may not set <c>IOMMU_OPTION_RLIMIT_MODE</c>: it lacks CAP_SYS_RESOURCE.</summary>
    RlimitMode = 1 << 1,
}
