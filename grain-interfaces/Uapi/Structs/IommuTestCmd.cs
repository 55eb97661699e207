using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// The selftest command. Its union is stored as raw words, from which each op reads its own fields at the offsets in the kernel's
// iommufd_test.h.

/// <summary><c>struct iommu_test_cmd</c>, the argument of <c>IOMMU_TEST_CMD</c>: acts on the emulated IOMMU and its devices.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IommuTestCmd
{
    /// <summary><c>size</c>: bytes of this struct that the caller knows, itself included.</summary>
    public uint Size;

    /// <summary><c>op</c>: one of <see cref="IommuTestOp"/>.</summary>
    public uint Op;

    /// <summary><c>id</c>: the object that the op acts on, or the file descriptor of an access.</summary>
    public uint Id;

    /// <summary><c>__reserved</c>: unused.</summary>
    public uint Reserved;

    /// <summary>The op's own fields: the kernel's anonymous union, 48 bytes from offset 16.</summary>
    public IommuTestCmdUnion Fields;

    /// <summary><c>last</c>: marks the end of the union; the minimum size ends behind it.</summary>
    public uint Last;
}

/// <summary>The 48 bytes of the union in <c>struct iommu_test_cmd</c>, as little-endian words.</summary>
[InlineArray(6)]
public struct IommuTestCmdUnion
{
    private ulong _word;

    /// <summary>Reads the union as the fields of an op.</summary>
    /// <typeparam name="T">The op's struct, at most 48 bytes.</typeparam>
    /// <returns>The fields.</returns>
    public readonly T As<T>()
        where T : unmanaged
        => MemoryMarshal.Read<T>(MemoryMarshal.AsBytes((ReadOnlySpan<ulong>)this));

    /// <summary>Creates a union from the fields of an op.</summary>
    /// <typeparam name="T">The op's struct, at most 48 bytes.</typeparam>
    /// <param name="fields">The fields.</param>
    /// <returns>The union; bytes that the op does not use are zero.</returns>
    public static IommuTestCmdUnion Of<T>(in T fields)
        where T : unmanaged
    {
        IommuTestCmdUnion union = default;
        union.Set(in fields);
        return union;
    }

    /// <summary>Writes the fields of an op and leaves the rest as it is.</summary>
    /// <typeparam name="T">The op's struct, at most 48 bytes.</typeparam>
    /// <param name="fields">The fields.</param>
    public void Set<T>(in T fields)
        where T : unmanaged
        => MemoryMarshal.Write(MemoryMarshal.AsBytes((Span<ulong>)this), in fields);
}
