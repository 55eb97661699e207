using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// The records that are read from the files of fault queues and event queues, and written to them. Layouts as in
// include/uapi/linux/iommufd.h of Linux 7.1.

/// <summary><c>struct iommu_hwpt_pgfault</c>: a page fault, as it is read from a fault queue. All faults of a group are read together.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptPgfault
{
    /// <summary><c>flags</c>: combination of <see cref="IommuPgfaultFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>dev_id</c>: id of the device.</summary>
    public uint DevId;

    /// <summary><c>pasid</c>: the PASID of the access, where the flag says so.</summary>
    public uint Pasid;

    /// <summary><c>grpid</c>: the group, numbered by the device.</summary>
    public uint Grpid;

    /// <summary><c>perm</c>: combination of <see cref="IommuPgfaultPerm"/>.</summary>
    public uint Perm;

    /// <summary><c>__reserved</c>: 0.</summary>
    public uint Reserved;

    /// <summary><c>addr</c>: the address that was accessed.</summary>
    public ulong Addr;

    /// <summary><c>length</c>: a hint of how many bytes will be accessed; 0 for none.</summary>
    public uint Length;

    /// <summary><c>cookie</c>: names the group in the response. The same for all faults of the group.</summary>
    public uint Cookie;
}

/// <summary><c>struct iommu_hwpt_page_response</c>: the response to a group of page faults, as it is written to a fault queue.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptPageResponse
{
    /// <summary><c>cookie</c>: the group, as it was read.</summary>
    public uint Cookie;

    /// <summary><c>code</c>: one of <see cref="IommuPageResponseCode"/>.</summary>
    public uint Code;
}

/// <summary>
/// <c>struct iommufd_vevent_header</c>: stands before the data of each event that is read from an event queue. Sequence numbers have no gap
/// unless events were lost.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommufdVeventHeader
{
    /// <summary><c>flags</c>: combination of <see cref="IommuVeventqFlags"/>.</summary>
    public uint Flags;

    /// <summary><c>sequence</c>: 0 to 2^31 - 1, then 0 again.</summary>
    public uint Sequence;
}
