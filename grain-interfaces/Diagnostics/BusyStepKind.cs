namespace IommuFd.GrainInterfaces;

/// <summary>How a hold is released.</summary>
public enum BusyStepKind
{
    /// <summary>The program destroys an object: <c>IOMMU_DESTROY</c>. A selftest object takes the device that it made with it.</summary>
    Destroy = 0,

    /// <summary>A driver detaches a device, or a PASID of it, from its page table.</summary>
    DetachDevice,

    /// <summary>A driver unbinds a device, which destroys its object.</summary>
    UnbindDevice,

    /// <summary>A driver detaches an access from its IOAS.</summary>
    DetachAccess,

    /// <summary>A driver destroys an access. The selftest's accesses are files: there the program closes the file.</summary>
    DestroyAccess,

    /// <summary>A driver drops a hold that it took by name.</summary>
    DropHold,

    /// <summary>A program closes the file that leads to the object.</summary>
    CloseFile,
}
