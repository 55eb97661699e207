namespace IommuFd.Client;

/// <summary>To whom pinned memory is accounted: the value of <c>IOMMU_OPTION_RLIMIT_MODE</c>.</summary>
public enum RlimitMode
{
    /// <summary>To the user, the default.</summary>
    User = 0,

    /// <summary>To the process, as VFIO does.</summary>
    Process = 1,
}
