using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// The type-specific data of Arm's SMMUv3. Layouts as in include/uapi/linux/iommufd.h of Linux 7.1; what is in the words is Arm's, in little-endian order.

/// <summary><c>struct iommu_hwpt_arm_smmuv3</c>: the data of a nested HWPT.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuHwptArmSmmuv3
{
    /// <summary><c>ste[0]</c>: the first word of the guest's stream table entry.</summary>
    public ulong Ste0;

    /// <summary><c>ste[1]</c>: its second word.</summary>
    public ulong Ste1;
}

/// <summary><c>struct iommu_viommu_arm_smmuv3_invalidate</c>: a command of the guest that invalidates caches.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuViommuArmSmmuv3Invalidate
{
    /// <summary><c>cmd[0]</c>: its first word, with the opcode in the low byte.</summary>
    public ulong Cmd0;

    /// <summary><c>cmd[1]</c>: its second word.</summary>
    public ulong Cmd1;
}

/// <summary><c>struct iommu_vevent_arm_smmuv3</c>: an event record, in which the guest's stream id stands in place of the device's.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuVeventArmSmmuv3
{
    /// <summary><c>evt[0]</c>: its first word, with the event's number in the low byte and the stream id in the high half.</summary>
    public ulong Evt0;

    /// <summary><c>evt[1]</c>.</summary>
    public ulong Evt1;

    /// <summary><c>evt[2]</c>.</summary>
    public ulong Evt2;

    /// <summary><c>evt[3]</c>.</summary>
    public ulong Evt3;
}
