using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

// The ABI is x86-64's: little-endian, natural alignment. .NET runs on little-endian machines only, which UapiLayoutTests asserts.

/// <summary>Decodes and encodes the structs of the ABI. Decoding allocates nothing.</summary>
public static class UapiStruct
{
    /// <summary>
    /// Decodes a struct of which the caller may have passed only the front; missing bytes read as zero, as in the kernel's
    /// <c>copy_struct_from_user</c>.
    /// </summary>
    /// <typeparam name="T">The struct.</typeparam>
    /// <param name="bytes">The bytes passed; bytes behind the struct are ignored.</param>
    /// <returns>The struct.</returns>
    public static T Read<T>(ReadOnlySpan<byte> bytes)
        where T : unmanaged
    {
        if (bytes.Length >= Unsafe.SizeOf<T>())
        {
            return MemoryMarshal.Read<T>(bytes);
        }

        T value = default;
        bytes.CopyTo(MemoryMarshal.AsBytes(new Span<T>(ref value)));
        return value;
    }

    /// <summary>Encodes a struct, or its front.</summary>
    /// <typeparam name="T">The struct.</typeparam>
    /// <param name="value">The struct.</param>
    /// <param name="length">Bytes wanted, at most the struct's size.</param>
    /// <returns>The bytes.</returns>
    public static byte[] ToBytes<T>(in T value, int length)
        where T : unmanaged
        => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value))[..length].ToArray();

    /// <summary>Encodes a whole struct.</summary>
    /// <typeparam name="T">The struct.</typeparam>
    /// <param name="value">The struct.</param>
    /// <returns>The bytes.</returns>
    public static byte[] ToBytes<T>(in T value)
        where T : unmanaged
        => ToBytes(in value, Unsafe.SizeOf<T>());
}
