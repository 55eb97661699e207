using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;

namespace IommuFd.Silo.Gateway.Descriptors;

/// <summary>What a descriptor leads to, so that another gateway can find it.</summary>
/// <param name="Handle">The context.</param>
/// <param name="Number">The session of the context's own file; the reference of one that an ioctl has opened.</param>
/// <param name="Type">The kind of the object that such a file leads to; <see cref="ObjectType.Any"/> for the context's own.</param>
/// <param name="Object">That object's id.</param>
internal readonly record struct DescriptorName(ContextHandle Handle, long Number, ObjectType Type, ObjectId Object)
{
    /// <summary>Bytes of a name.</summary>
    public const int Bytes = 36;

    /// <summary>What the file of an ioctl leads to; null for the context's own file.</summary>
    public FileTarget? Target => Type == ObjectType.Any ? null : new FileTarget(Handle.Key, new ReferenceId(Number), Type, Object);

    /// <summary>The name of a file that an ioctl has opened.</summary>
    public static DescriptorName Of(ContextHandle handle, FileTarget target) => new(handle, target.Reference.Value, target.Type, target.Id);

    public byte[] Write()
    {
        var writer = new FrameWriter();
        writer.Name(Handle.Value);
        writer.UInt64((ulong)Number);
        writer.UInt32(Object.Value);
        writer.UInt32((uint)Type);
        writer.Reserved(4);
        return writer.Written.ToArray();
    }

    public static DescriptorName Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new FrameReader(bytes);
        var (handle, number, id, type) = (new ContextHandle(reader.Name()), (long)reader.UInt64(), new ObjectId(reader.UInt32()), (ObjectType)reader.UInt32());
        reader.Reserved(4);
        reader.End();
        return new DescriptorName(handle, number, type, id);
    }
}
