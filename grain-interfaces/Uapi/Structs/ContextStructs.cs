using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// Arguments of the commands that act on a context as a whole. Layouts as in include/uapi/linux/iommufd.h of Linux 7.1; field names are the
// kernel's in .NET casing, and IoctlDescriptor reads sizes and offsets from here, so that they stand in one place.

/// <summary><c>struct iommu_destroy</c>, the argument of <c>IOMMU_DESTROY</c>: destroys any destroyable object by its id.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuDestroy
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>id</c>: id of the object.</summary>
    public uint Id;
}

/// <summary>
/// <c>struct iommu_option</c>, the argument of <c>IOMMU_OPTION</c>: gets or sets one option of the context or of an object.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuOption
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>option_id</c>: one of <see cref="IommuOptionId"/>.</summary>
    public uint OptionId;

    /// <summary><c>op</c>: one of <see cref="IommuOptionOp"/>.</summary>
    public ushort Op;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public ushort Reserved;

    /// <summary><c>object_id</c>: id of the object that has the option; 0 for options of the context.</summary>
    public uint ObjectId;

    /// <summary><c>val64</c>: the value to set, or the value got.</summary>
    public ulong Val64;
}

/// <summary>
/// <c>struct iommu_vfio_ioas</c>, the argument of <c>IOMMU_VFIO_IOAS</c>: gets, sets or clears the IOAS for VFIO container compatibility.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuVfioIoas
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>ioas_id</c>: id of the IOAS: input of SET, output of GET.</summary>
    public uint IoasId;

    /// <summary><c>op</c>: one of <see cref="IommuVfioIoasOp"/>.</summary>
    public ushort Op;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public ushort Reserved;
}

/// <summary>
/// <c>struct iommu_ioas_change_process</c>, the argument of <c>IOMMU_IOAS_CHANGE_PROCESS</c>: moves the pinned-memory accounting of every
/// file mapping of the context to the calling process.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuIoasChangeProcess
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>__reserved</c>: must be 0.</summary>
    public uint Reserved;
}
