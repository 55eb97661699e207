using System.Buffers;
using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// The caller's side of an ioctl: copy in, copy out. The marshaller describes memory and decides nothing: it sends an invalid pointer as bytes that can't be read, and an
// argument that is too large to travel with a description of its tail. The service decides the errno.

/// <summary>Turns an ioctl on memory into a request, and the reply into changes of that memory.</summary>
internal static class IoctlMarshaller
{
    /// <summary>Reads everything that an ioctl needs from its caller's memory.</summary>
    /// <param name="command">The ioctl's number.</param>
    /// <param name="address">Where its argument is.</param>
    /// <param name="memory">The caller's memory.</param>
    /// <param name="memories">Names the memory to the service, where the service may ask about it later.</param>
    public static IoctlRequest CopyIn(uint command, ulong address, ICallerMemory memory, CallerMemories? memories = null)
    {
        var descriptor = IoctlTable.Find(command);
        if (descriptor is { Argument: IoctlArgument.Integer })
        {
            return new IoctlRequest { Command = command, Argument = BitConverter.GetBytes(address) };
        }

        Span<byte> front = stackalloc byte[256];
        var readable = memory.Read(address, front[..sizeof(uint)]);
        if (readable < sizeof(uint))
        {
            return new IoctlRequest { Command = command, Argument = front[..readable].ToArray(), Tail = ArgumentTail.Faulted };
        }

        var size = BinaryPrimitives.ReadUInt32LittleEndian(front);
        if (descriptor is { Argument: IoctlArgument.Fixed })
        {
            size = Math.Max(size, (uint)descriptor.MinSize);
        }

        var wanted = (int)Math.Clamp(size, sizeof(uint), IoctlLimits.MaxArgumentBytes);
        var buffer = wanted <= front.Length ? front : new byte[wanted];
        readable = memory.Read(address, buffer[..wanted]);
        var argument = buffer[..readable].ToArray();
        return new IoctlRequest
        {
            Command = command,
            Argument = argument,
            Tail = (uint)readable >= size ? ArgumentTail.Zero
                : readable < wanted ? ArgumentTail.Faulted
                : Scan(memory, address + (ulong)readable, size - (uint)readable),
            WritableBytes = (uint)memory.Accessible(address, size, MemoryAccess.Write),
            Buffers = CopyInBuffers(command, argument, memory),
            File = descriptor?.FileDescriptor(argument) is { } fileDescriptor ? memory.FindFile(fileDescriptor) : null,
            Memory = descriptor is { MapsMemory: true } ? memories?.SourceOf(memory) : null,
        };
    }

    /// <summary>Makes the request of an ioctl whose argument is a struct of the SDK's own: readable and writable.</summary>
    public static IoctlRequest FromBytes(uint command, byte[] argument, UserBuffer[]? buffers = null, UserFile? file = null)
        => new() { Command = command, Argument = argument, WritableBytes = (uint)argument.Length, Buffers = buffers, File = file };

    /// <summary>Writes the bytes that a reply copies back, and makes its copies. Does not give its file a descriptor.</summary>
    /// <returns>The reply; EFAULT if bytes could not be copied.</returns>
    public static IoctlReply CopyOut(IoctlReply reply, ulong address, ICallerMemory memory)
    {
        if (reply.Argument is { } argument)
        {
            memory.Write(address, argument);
        }

        foreach (var buffer in reply.Buffers ?? [])
        {
            MemoryCopier.Write(memory, buffer);
        }

        return reply.Copy is { } copy && MemoryCopier.Copy(memory, copy) is { } fault ? new IoctlReply { Errno = Errno.EFAULT, Diagnostic = fault } : reply;
    }

    private static UserBuffer[]? CopyInBuffers(uint command, byte[] argument, ICallerMemory memory)
    {
        if (IoctlTable.Find(command) is not { Buffers.Count: > 0 } descriptor || argument.Length < descriptor.MinSize)
        {
            return null;
        }

        var buffers = new List<UserBuffer>();
        for (var i = 0; i < descriptor.Buffers.Count; i++)
        {
            var described = descriptor.Buffers[i];
            if (described.LengthIn(argument) is var length && length > 0)
            {
                // The argument of an older caller may end before the pointer or within it. Like every field, the pointer is zero-extended then.
                var pointer = UapiStruct.Read<ulong>(argument.AsSpan(Math.Min(described.PointerOffset, argument.Length)));
                buffers.Add(CopyInBuffer(i, pointer, length, described.Access, memory));
            }
        }

        return buffers.Count == 0 ? null : [.. buffers];
    }

    private static UserBuffer CopyInBuffer(int index, ulong address, ulong length, UserBufferAccess access, ICallerMemory memory)
    {
        var readable = access == UserBufferAccess.Out ? 0 : memory.Accessible(address, length, MemoryAccess.Read);
        byte[] content = [];
        if (access is UserBufferAccess.In or UserBufferAccess.InOut && readable > 0)
        {
            content = new byte[Math.Min(readable, IoctlLimits.MaxBufferBytes)];
            Array.Resize(ref content, memory.Read(address, content));
        }

        return new UserBuffer
        {
            Index = (byte)index,
            Address = address,
            Length = length,
            ReadableBytes = readable,
            WritableBytes = access == UserBufferAccess.In ? 0 : memory.Accessible(address, length, MemoryAccess.Write),
            Content = content,
            Mapping = access == UserBufferAccess.Probe ? memory.FindMapping(address, length) : null,
        };
    }

    // A program may claim any size up to 4 GiB. Bytes that do not travel are checked here, a chunk at a time.
    private static ArgumentTail Scan(ICallerMemory memory, ulong address, uint length)
    {
        var chunk = ArrayPool<byte>.Shared.Rent(64 * 1024);
        try
        {
            for (uint done = 0; done < length;)
            {
                var wanted = (int)Math.Min(length - done, (uint)chunk.Length);
                var readable = memory.Read(address + done, chunk.AsSpan(0, wanted));
                if (chunk.AsSpan(0, readable).IndexOfAnyExcept((byte)0) >= 0)
                {
                    return ArgumentTail.NonZero;
                }

                if (readable < wanted)
                {
                    return ArgumentTail.Faulted;
                }

                done += (uint)wanted;
            }

            return ArgumentTail.Zero;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }
}
