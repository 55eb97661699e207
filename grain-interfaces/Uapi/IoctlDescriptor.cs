using System.Buffers.Binary;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace IommuFd.Uapi;

// The one place for the facts of a command. Sizes and field offsets are read once, at start, from the argument's struct, so they cannot
// disagree with what the handlers decode. All code that validates, marshals, prints or documents a command looks here. All members are
// immutable: the table of descriptors is constant, like the kernel's.

/// <summary>One field of a command's argument.</summary>
/// <param name="Name">The kernel's name of the field.</param>
/// <param name="Offset">Bytes from the start of the argument.</param>
/// <param name="Size">Bytes of the field.</param>
/// <param name="IsSigned">Whether the field is a signed number.</param>
public sealed record UapiField(string Name, int Offset, int Size, bool IsSigned)
{
    /// <summary>The kernel's name of the union's member that the field is a part of; empty for a field of the argument itself.</summary>
    public string Member { get; init; } = "";

    /// <summary>The field's name as C writes it: with the member before it.</summary>
    public string Path => Member.Length == 0 ? Name : $"{Member}.{Name}";

    /// <summary>Whether the field is reserved and must be zero.</summary>
    public bool IsReserved => Name.StartsWith("__", StringComparison.Ordinal);

    /// <summary>Reads the field from an argument that has at least <c>Offset + Size</c> bytes.</summary>
    /// <param name="argument">The argument, little-endian.</param>
    /// <returns>The value; zero-extended unless <see cref="IsSigned"/>.</returns>
    public ulong Read(ReadOnlySpan<byte> argument)
    {
        ulong value = 0;
        for (var i = Size - 1; i >= 0; i--)
        {
            value = (value << 8) | argument[Offset + i];
        }

        return IsSigned ? (ulong)(int)value : value;
    }
}

/// <summary>
/// What is known about a command before it runs: its number, the sizes and fields of its argument, and the buffers they point to.
/// </summary>
public sealed class IoctlDescriptor
{
    private IoctlDescriptor(
        uint number, string name, int size, int minSize, UapiField[] fields, UserBufferDescriptor[] buffers, UserFileDescriptor[] files, IoctlArgument argument = IoctlArgument.Sized)
    {
        Number = number;
        Argument = argument;
        Name = name;
        Size = size;
        MinSize = minSize;
        Fields = fields;
        Buffers = buffers;
        AnsweredBuffers = Array.FindAll(buffers, buffer => buffer.Answer != UserBufferAnswer.None);
        Files = files;
        MapsMemory = number == (uint)IommuCommand.IoasChangeProcess || Array.Exists(files, file => !file.IsActedOn) || Array.Exists(buffers, buffer => buffer.Access == UserBufferAccess.Probe);
    }

    /// <summary>The full ioctl number.</summary>
    public uint Number { get; }

    /// <summary>The command; no member of the enum for one of the type1 interface.</summary>
    public IommuCommand Command => (IommuCommand)Number;

    /// <summary>What the ioctl's third argument is.</summary>
    public IoctlArgument Argument { get; }

    /// <summary>The kernel's name, for example <c>IOMMU_IOAS_ALLOC</c>.</summary>
    public string Name { get; }

    /// <summary>Bytes of the whole argument as Linux 7.1 knows it. Bytes that the caller passes behind them must be zero (E2BIG).</summary>
    public int Size { get; }

    /// <summary>The fewest bytes that a caller must pass (EINVAL): up to the last field of the command's first version.</summary>
    public int MinSize { get; }

    /// <summary>The argument's fields, in order of their offsets. Fields of unions are not listed.</summary>
    public IReadOnlyList<UapiField> Fields { get; }

    /// <summary>The fields of an argument, in order of their offsets, with those of the union's member that the argument uses.</summary>
    /// <param name="argument">The argument. Bytes that it lacks are zero.</param>
    /// <returns>The fields, also those behind the argument's bytes.</returns>
    public IReadOnlyList<UapiField> FieldsIn(ReadOnlySpan<byte> argument) => Command == IommuCommand.TestCmd ? IommuTestFields.In(Fields, argument) : Fields;

    /// <summary>The caller's buffers that the argument points to.</summary>
    public IReadOnlyList<UserBufferDescriptor> Buffers { get; }

    /// <summary>Those that a reply can carry something for.</summary>
    internal UserBufferDescriptor[] AnsweredBuffers { get; }

    /// <summary>The files that arguments can name: an argument names the first that is in it, and no other.</summary>
    public IReadOnlyList<UserFileDescriptor> Files { get; }

    /// <summary>The file that an argument names, if it names one and reaches that far.</summary>
    /// <param name="argument">The argument.</param>
    /// <returns>Where it names it, or null.</returns>
    public UserFileDescriptor? FileIn(ReadOnlySpan<byte> argument)
    {
        foreach (var file in Files)
        {
            if (file.IsIn(argument))
            {
                return file;
            }
        }

        return null;
    }

    /// <summary>Whether the command maps memory, compares mapped memory or takes it over, so that the service must know later whose memory it is.</summary>
    public bool MapsMemory { get; }

    /// <summary>The file descriptor that an argument names, if it names one and reaches that far.</summary>
    /// <param name="argument">The argument.</param>
    /// <returns>The descriptor, or null.</returns>
    public int? FileDescriptor(ReadOnlySpan<byte> argument)
        => FileIn(argument) is { } file ? BinaryPrimitives.ReadInt32LittleEndian(argument[file.Offset..]) : null;

    /// <inheritdoc/>
    public override string ToString() => $"{Name} (0x{Number:X})";

    /// <summary>Describes a command from its argument's struct.</summary>
    /// <typeparam name="T">The struct; its field names determine the kernel's.</typeparam>
    /// <param name="command">The full ioctl number.</param>
    /// <param name="name">The kernel's name.</param>
    /// <param name="lastRequired">The C# name of the last required field, at which the minimum size ends.</param>
    /// <param name="buffers">The buffers that the argument points to.</param>
    internal static IoctlDescriptor Of<T>(IommuCommand command, string name, string lastRequired, params UserBufferDescriptor[] buffers)
        where T : unmanaged
        => Of<T>(command, name, lastRequired, [], buffers);

    /// <summary>Describes a command that names a file, by its argument's struct.</summary>
    internal static IoctlDescriptor Of<T>(IommuCommand command, string name, string lastRequired, UserFileDescriptor[] files, params UserBufferDescriptor[] buffers)
        where T : unmanaged
    {
        var fields = FieldsOf<T>();
        return new IoctlDescriptor((uint)command, name, Unsafe.SizeOf<T>(), EndOf(fields, lastRequired), fields, buffers, files);
    }

    /// <summary>Describes a command of the type1 interface by its argument's struct.</summary>
    internal static IoctlDescriptor OfVfio<T>(VfioCommand command, string name, string lastRead, params UserBufferDescriptor[] buffers)
        where T : unmanaged
    {
        var fields = FieldsOf<T>();
        return new IoctlDescriptor((uint)command, name, Unsafe.SizeOf<T>(), EndOf(fields, lastRead), fields, buffers, [], IoctlArgument.Fixed);
    }

    /// <summary>Describes a command of the type1 interface whose argument is an integer.</summary>
    internal static IoctlDescriptor OfInteger(VfioCommand command, string name)
        => new((uint)command, name, sizeof(ulong), sizeof(ulong), [new UapiField("arg", 0, sizeof(ulong), IsSigned: false)], [], [], IoctlArgument.Integer);

    /// <summary>The fields of a struct that stands at an offset in the argument.</summary>
    internal static UapiField[] FieldsOf<T>(int at = 0)
        where T : unmanaged
        => [.. typeof(T).GetFields(BindingFlags.Public | BindingFlags.Instance).Where(field => field.FieldType.IsPrimitive).Select(field => Field<T>(field.Name, at))];

    private static int EndOf(UapiField[] fields, string last)
    {
        var field = fields.Single(field => field.Name == KernelName(last));
        return field.Offset + field.Size;
    }

    /// <summary>Describes a buffer whose pointer and length are in the argument <typeparamref name="T"/>: a field times a number of bytes.</summary>
    internal static UserBufferDescriptor Buffer<T>(string pointer, UserBufferAccess access, string length, int factor = 1)
        where T : unmanaged
        => new(KernelName(pointer), OffsetOf<T>(pointer), access, new UserBufferLength(UserBufferRule.Factor, Field<T>(length), Factor: factor));

    /// <summary>Describes a buffer whose length two fields of the argument <typeparamref name="T"/> make.</summary>
    internal static UserBufferDescriptor Buffer<T>(string pointer, UserBufferAccess access, UserBufferRule rule, string a, string b)
        where T : unmanaged
        => new(KernelName(pointer), OffsetOf<T>(pointer), access, new UserBufferLength(rule, Field<T>(a), Field<T>(b)));

    /// <summary>A field of a struct that stands at an offset in the argument.</summary>
    internal static UapiField Field<T>(string name, int at = 0)
        where T : unmanaged
    {
        var type = typeof(T).GetField(name)!.FieldType;
        return new UapiField(KernelName(name), at + OffsetOf<T>(name), Marshal.SizeOf(type), type == typeof(int));
    }

    private static int OffsetOf<T>(string field) => (int)Marshal.OffsetOf<T>(field);

    // OutIoasId is out_ioas_id; Reserved is __reserved.
    private static string KernelName(string name)
    {
        var kernel = new StringBuilder(name.StartsWith("Reserved", StringComparison.Ordinal) ? "__" : "");
        for (var i = 0; i < name.Length; i++)
        {
            if (i > 0 && char.IsUpper(name[i]))
            {
                kernel.Append('_');
            }

            kernel.Append(char.ToLowerInvariant(name[i]));
        }

        return kernel.ToString();
    }
}
