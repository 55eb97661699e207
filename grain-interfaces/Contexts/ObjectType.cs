using System.Reflection;

namespace IommuFd.GrainInterfaces;

// Adding a kind of object is adding a member here, with the name that people call it by, and a folder in grains/Objects. Whatever else differs
// from kind to kind travels with each inspection, so that clients have nothing to add.

/// <summary>The kinds of object that a context's table can have.</summary>
public enum ObjectType
{
    /// <summary>Any kind: in a look-up, no particular one is asked for.</summary>
    [Label("object")]
    Any = 0,

    /// <summary><c>IOMMUFD_OBJ_IOAS</c>: an IO address space.</summary>
    [Label("IOAS")]
    Ioas,

    /// <summary><c>IOMMUFD_OBJ_DEVICE</c>: a device that a driver has bound.</summary>
    [Label("device")]
    Device,

    /// <summary><c>IOMMUFD_OBJ_HWPT_PAGING</c>: a hardware page table that mirrors an IOAS.</summary>
    [Label("HWPT")]
    HwptPaging,

    /// <summary><c>IOMMUFD_OBJ_ACCESS</c>: a driver's access to the memory that an IOAS maps.</summary>
    [Label("access")]
    Access,

    /// <summary><c>IOMMUFD_OBJ_SELFTEST</c>: the owner of an emulated device that <c>IOMMU_TEST_CMD</c> has made.</summary>
    [Label("selftest")]
    Selftest,

    /// <summary><c>IOMMUFD_OBJ_HWPT_NESTED</c>: a page table of a guest, which is translated by a HWPT or a vIOMMU.</summary>
    [Label("nested HWPT")]
    HwptNested,

    /// <summary><c>IOMMUFD_OBJ_FAULT</c>: a queue of page faults, read from its file.</summary>
    [Label("fault queue")]
    FaultQueue,

    /// <summary><c>IOMMUFD_OBJ_VIOMMU</c>: a guest's IOMMU.</summary>
    [Label("vIOMMU")]
    Viommu,

    /// <summary><c>IOMMUFD_OBJ_VDEVICE</c>: a device as a guest's IOMMU knows it.</summary>
    [Label("vDevice")]
    Vdevice,

    /// <summary><c>IOMMUFD_OBJ_VEVENTQ</c>: a queue of a vIOMMU's events, read from its file.</summary>
    [Label("vEVENTQ")]
    Veventq,

    /// <summary><c>IOMMUFD_OBJ_HW_QUEUE</c>: a queue in guest memory that hardware reads for a vIOMMU.</summary>
    [Label("HW queue")]
    HwQueue,
}

/// <summary>The names of object kinds, as used for iommufd.</summary>
public static class ObjectTypeText
{
    private static readonly string[] Labels = ReadLabels();

    /// <summary>The name of a kind.</summary>
    /// <param name="type">The kind.</param>
    /// <returns>For example <c>IOAS</c>; <c>object(9)</c> for a kind that only later versions know.</returns>
    public static string Label(this ObjectType type) => (uint)type < (uint)Labels.Length ? Labels[(int)type] : $"object({(int)type})";

    private static string[] ReadLabels()
    {
        var types = Enum.GetValues<ObjectType>();
        var labels = new string[types.Length];
        foreach (var type in types)
        {
            labels[(int)type] = typeof(ObjectType).GetField(type.ToString())!.GetCustomAttribute<LabelAttribute>()!.Text;
        }

        return labels;
    }
}

/// <summary>What people call an object of a kind.</summary>
[AttributeUsage(AttributeTargets.Field)]
internal sealed class LabelAttribute(string text) : Attribute
{
    public string Text { get; } = text;
}
