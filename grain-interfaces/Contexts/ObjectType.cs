namespace IommuFd.GrainInterfaces;

/// <summary>The kinds of object that a context's table can have.</summary>
public enum ObjectType
{
    /// <summary>Any kind: in a lookup, no particular kind is required.</summary>
    Any = 0,

    /// <summary><c>IOMMUFD_OBJ_IOAS</c>: an IO address space.</summary>
    Ioas,

    /// <summary><c>IOMMUFD_OBJ_DEVICE</c>: a device that a driver has bound.</summary>
    Device,

    /// <summary><c>IOMMUFD_OBJ_HWPT_PAGING</c>: a hardware page table that mirrors an IOAS.</summary>
    HwptPaging,

    /// <summary><c>IOMMUFD_OBJ_ACCESS</c>: a driver's access to the memory that an IOAS maps.</summary>
    Access,

    /// <summary><c>IOMMUFD_OBJ_SELFTEST</c>: the owner of an emulated device that <c>IOMMU_TEST_CMD</c> created.</summary>
    Selftest,
}

/// <summary>The names of object kinds, as used for iommufd.</summary>
public static class ObjectTypeText
{
    /// <summary>The name of a kind.</summary>
    /// <param name="type">The kind.</param>
    /// <returns>For example <c>IOAS</c>.</returns>
    public static string Label(this ObjectType type) => type switch
    {
        ObjectType.Any => "object",
        ObjectType.Ioas => "IOAS",
        ObjectType.Device => "device",
        ObjectType.HwptPaging => "HWPT",
        ObjectType.Access => "access",
        ObjectType.Selftest => "selftest",
        _ => type.ToString(),
    };
}
