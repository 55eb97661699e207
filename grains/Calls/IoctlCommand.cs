using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

/// <summary>An ioctl that has passed pre-validation, as its handler sees it (the kernel's <c>iommufd_ucmd</c>).</summary>
internal readonly struct IoctlCommand(IoctlDescriptor descriptor, IoctlRequest request)
{
    private static readonly UserBuffer NoBuffer = new();

    /// <summary>The bytes that the caller's struct says it has.</summary>
    private uint UserSize => BinaryPrimitives.ReadUInt32LittleEndian(request.Argument);

    /// <summary>Decodes the argument; what an older caller doesn't pass reads as zero.</summary>
    public T Read<T>()
        where T : unmanaged
        => UapiStruct.Read<T>(request.Argument.AsSpan(0, (int)Math.Min((uint)request.Argument.Length, UserSize)));

    /// <summary>Decodes an argument that does not say its size: all of it that was read.</summary>
    public T ReadAll<T>()
        where T : unmanaged
        => UapiStruct.Read<T>(request.Argument);

    /// <summary>The argument's bytes.</summary>
    public ReadOnlySpan<byte> Argument => request.Argument;

    /// <summary>The bytes of the argument that can be written.</summary>
    public uint WritableBytes => request.WritableBytes;

    /// <summary>The fewest bytes that the command reads.</summary>
    public int MinSize => descriptor.MinSize;

    /// <summary>The open file that the argument names, if any.</summary>
    public UserFile? File => request.File;

    /// <summary>The program's memory, to be asked about later; null where what the request says of it stays true.</summary>
    public MemorySource? Memory => request.Memory;

    /// <summary>What the caller may not do.</summary>
    public CallerLimits Limits => request.Limits;

    /// <summary>What the memory that the ioctl maps counts against: that is decided when it is mapped.</summary>
    public PinAccount AccountIn(ContextModel context)
        => !Limits.HasFlag(CallerLimits.LockedMemory) ? PinAccount.None : context.RlimitMode == 0 ? PinAccount.User : PinAccount.Process;

    /// <summary>A buffer that the argument points to, by its place in the descriptor. One that did not come can't be accessed.</summary>
    public UserBuffer Buffer(int index)
    {
        foreach (var buffer in request.Buffers ?? [])
        {
            if (buffer?.Index == index)
            {
                return buffer;
            }
        }

        return NoBuffer;
    }

    /// <summary>Whether <see cref="Respond"/> can write all of its answer. A command that made something asks before it makes it visible.</summary>
    public bool CanRespond<T>()
        where T : unmanaged
        => request.WritableBytes >= ResponseLength<T>();

    /// <summary>
    /// Answers success and copies the argument back, as much of it as the caller passed. Where the caller's memory can't be written, the answer is EFAULT,
    /// and what can be written before the fault is (<c>iommufd_ucmd_respond</c>).
    /// </summary>
    /// <param name="argument">The argument as it is after the command.</param>
    /// <param name="rest">What else is answered: buffers, or an errno that comes with a full answer.</param>
    public IoctlReply Respond<T>(in T argument, IoctlReply? rest = null)
        where T : unmanaged
    {
        var length = ResponseLength<T>();
        if (request.WritableBytes >= length)
        {
            return new IoctlReply
            {
                Argument = UapiStruct.ToBytes(in argument, (int)length),
                Errno = rest?.Errno ?? Errno.None,
                Buffers = rest?.Buffers,
                Diagnostic = rest?.Diagnostic,
                File = rest?.File,
            };
        }

        return new IoctlReply
        {
            Errno = Errno.EFAULT,
            Argument = UapiStruct.ToBytes(in argument, (int)request.WritableBytes),
            Buffers = rest?.Buffers,
            Diagnostic = Failure.Because(DiagnosticReason.ArgumentUnwritable, request.WritableBytes, length),
        };
    }

    /// <inheritdoc/>
    public override string ToString() => descriptor.Name;

    private uint ResponseLength<T>()
        where T : unmanaged
        => Math.Min(UserSize, (uint)Unsafe.SizeOf<T>());
}
