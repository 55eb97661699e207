using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>What an ioctl, a read or a write begins with: the descriptor, and the request's name.</summary>
internal readonly record struct CallStart(Guid Ticket, OperationId Operation)
{
    public const byte WantsText = 1, WasSent = 2, HasFault = 4, AllFlags = 7;

    /// <summary>Whether the answer is to say in words why it failed.</summary>
    public bool IsVerbose { get; init; }

    public static (Guid Ticket, long Session, long Sequence, long Settled) ReadNames(ref FrameReader reader)
        => (reader.Name(), (long)reader.UInt64(), (long)reader.UInt64(), (long)reader.UInt64());

    /// <summary>Joins the names with the flags, which stand further behind.</summary>
    public static CallStart Of((Guid Ticket, long Session, long Sequence, long Settled) names, byte flags)
    {
        if (names.Session == 0 ? names.Sequence != 0 || names.Settled != 0 : names.Settled < 0 || names.Sequence <= names.Settled)
        {
            throw FrameException.Malformed("the request's number is not above those that are settled");
        }

        return new CallStart(names.Ticket, new OperationId(names.Session, names.Sequence, names.Settled, (flags & WasSent) != 0)) { IsVerbose = (flags & WantsText) != 0 };
    }
}

/// <summary>An ioctl as the gateway gets it.</summary>
/// <param name="Start">Descriptor and name.</param>
/// <param name="Request">The ioctl, without a file that is the gateway's own and without its memory's name.</param>
/// <param name="FileTicket">The gateway's descriptor that the argument names; null for none.</param>
internal sealed record IoctlFrame(CallStart Start, IoctlRequest Request, Guid? FileTicket)
{
    private const byte NoFile = 0, FileOfProgram = 1, FileOfGateway = 2, FileInJson = 3;

    /// <summary>Reads an ioctl.</summary>
    /// <param name="body">The frame's body.</param>
    /// <param name="byHandle">Whether it begins with a handle, and not with a ticket.</param>
    public static IoctlFrame Read(ReadOnlySpan<byte> body, bool byHandle = false)
    {
        var reader = new FrameReader(body);
        var names = CallStart.ReadNames(ref reader);
        var (request, ticket, flags) = ReadRequest(ref reader, byHandle);
        reader.End();
        return new IoctlFrame(CallStart.Of(names, flags), request, ticket);
    }

    /// <summary>Reads what an ioctl has behind its names.</summary>
    public static (IoctlRequest Request, Guid? FileTicket, byte Flags) ReadRequest(ref FrameReader reader, bool byHandle)
    {
        var (command, writable) = (reader.UInt32(), reader.UInt32());
        var (tail, buffers, file, flags) = (reader.Choice((byte)ArgumentTail.Faulted), reader.Byte(), reader.Choice(byHandle ? FileInJson : FileOfGateway), reader.Choice(CallStart.AllFlags));
        var argumentLength = reader.Length(IoctlLimits.MaxArgumentBytes);
        var fault = (flags & CallStart.HasFault) == 0 ? null : new FaultInjection(reader.UInt32(), (Errno)reader.Length(MaxErrno));
        var argument = reader.Bytes(argumentLength);
        var request = new IoctlRequest
        {
            Command = command,
            Argument = argument,
            Tail = (ArgumentTail)tail,
            WritableBytes = writable,
            Fault = fault,
            Buffers = ReadBuffers(ref reader, buffers),
            File = file switch
            {
                FileOfProgram => ReadFile(ref reader),
                FileInJson => WireJson.Read<UserFile>(reader.Span(reader.Length(MaxFileJson))),
                _ => null,
            },
        };
        return (request, file == FileOfGateway ? reader.Name() : null, flags);
    }

    /// <summary>Writes what an ioctl has behind its names, for one by handle.</summary>
    public static void WriteRequest(FrameWriter writer, IoctlRequest request, byte flags)
    {
        writer.UInt32(request.Command);
        writer.UInt32(request.WritableBytes);
        writer.Byte((byte)request.Tail);
        writer.Byte((byte)(request.Buffers?.Length ?? 0));
        writer.Byte(request.File is null ? NoFile : FileInJson);
        writer.Byte((byte)(flags | (request.Fault is null ? 0 : CallStart.HasFault)));
        writer.UInt32((uint)request.Argument.Length);
        if (request.Fault is { } fault)
        {
            writer.UInt32(fault.Point);
            writer.UInt32((uint)fault.Errno);
        }

        writer.Bytes(request.Argument);
        foreach (var buffer in request.Buffers ?? [])
        {
            Write(writer, buffer);
        }

        if (request.File is { } file)
        {
            var json = WireJson.Write(file);
            writer.UInt32((uint)json.Length);
            writer.Bytes(json);
        }
    }

    // A character has three bytes at most, or is one of two that have four. One identity that is too long for the service is so here too.
    private const int MaxIdentityBytes = 3 * (IoctlLimits.MaxIdentityLength + 1), MaxFileJson = 16 * 1024;

    // Linux keeps errnos below this.
    private const uint MaxErrno = 4095;

    private static void Write(FrameWriter writer, UserBuffer buffer)
    {
        var identity = FrameWriter.Utf8(buffer.Mapping?.File.Identity, MaxIdentityBytes);
        writer.Byte(buffer.Index);
        writer.Byte((byte)(buffer.Mapping is null ? 0 : 1));
        writer.UInt16(identity.Length);
        writer.UInt32((uint)buffer.Content.Length);
        writer.UInt64(buffer.Address);
        writer.UInt64(buffer.Length);
        writer.UInt64(buffer.ReadableBytes);
        writer.UInt64(buffer.WritableBytes);
        writer.UInt64(buffer.Mapping?.Offset ?? 0);
        writer.UInt64(buffer.Mapping?.Length ?? 0);
        writer.Bytes(identity);
        writer.Bytes(buffer.Content);
    }

    private static UserBuffer[]? ReadBuffers(ref FrameReader reader, int count)
    {
        if (count == 0)
        {
            return null;
        }

        var buffers = new UserBuffer[count];
        for (var i = 0; i < count; i++)
        {
            var (index, isMapping) = (reader.Byte(), reader.Choice(1) == 1);
            var (identityLength, contentLength) = (reader.ShortLength(MaxIdentityBytes), reader.Length(IoctlLimits.MaxBufferBytes));
            var (address, length, readable, writable) = (reader.UInt64(), reader.UInt64(), reader.UInt64(), reader.UInt64());
            var (offset, mapped) = (reader.UInt64(), reader.UInt64());
            var identity = reader.Text(identityLength);
            if ((i > 0 && index <= buffers[i - 1].Index) || readable > length || writable > length || mapped > length || (ulong)contentLength > readable)
            {
                throw FrameException.Malformed($"buffer {index} is out of order, or has more bytes than its length");
            }

            buffers[i] = new UserBuffer
            {
                Index = index,
                Address = address,
                Length = length,
                ReadableBytes = readable,
                WritableBytes = writable,
                Content = reader.Bytes(contentLength),
                Mapping = isMapping ? new FileMapping(new MappedFile(identity), offset, mapped) : null,
            };
        }

        return buffers;
    }

    private static UserFile ReadFile(ref FrameReader reader)
    {
        var isMemfd = reader.Choice(1) == 1;
        reader.Reserved(1);
        var identityLength = reader.ShortLength(MaxIdentityBytes);
        reader.Reserved(4);
        var length = reader.UInt64();
        return new UserFile(reader.Text(identityLength), isMemfd, length);
    }
}

/// <summary>The answer to an ioctl.</summary>
internal static class IoctlAnswer
{
    private const int MaxText = 64 * 1024;

    // That one of the failure points has failed.
    private const uint Failed = 1u << 31;

    // For the offset of a descriptor that is what the ioctl returns.
    private const int ReturnsFile = 0xFFFF;

    /// <param name="writer">Where it goes.</param>
    /// <param name="tag">The request's tag.</param>
    /// <param name="reply">The answer.</param>
    /// <param name="claim">The name of the file that the ioctl has opened; null for none.</param>
    /// <param name="emptied">The tickets of queues that have nothing to read any more, and whose marks are to be taken.</param>
    /// <param name="text">Why it failed; null for no words.</param>
    public static void Write(FrameWriter writer, uint tag, IoctlReply reply, Guid? claim, IReadOnlyCollection<Guid> emptied, string? text)
    {
        var at = writer.Begin(FrameKind.Ioctl | FrameKind.Answer, tag);
        var words = FrameWriter.Utf8(text, MaxText);
        writer.UInt32((uint)reply.Errno);
        writer.UInt32((uint)reply.ReturnValue);
        writer.UInt32((uint)(reply.Argument?.Length ?? 0));
        writer.UInt16(reply.Buffers?.Length ?? 0);
        writer.Byte((byte)(reply.Copy is null ? 0 : 1));
        writer.Byte((byte)(claim is null ? 0 : 1));
        writer.UInt16((int)(reply.Diagnostic?.Reason ?? DiagnosticReason.None));
        writer.UInt16(emptied.Count);
        writer.UInt32((uint)words.Length);
        writer.UInt32(reply.FailurePoints | (reply.Diagnostic?.Reason == DiagnosticReason.FaultInjected ? Failed : 0));
        writer.Bytes(reply.Argument);
        foreach (var write in reply.Buffers ?? [])
        {
            Write(writer, write);
        }

        if (reply.Copy is { } copy)
        {
            Write(writer, copy);
        }

        if (claim is { } name)
        {
            writer.UInt16(reply.File!.Offset == NewFile.ReturnValue ? ReturnsFile : reply.File.Offset);
            writer.Reserved(6);
            writer.Name(name);
        }

        foreach (var ticket in emptied)
        {
            writer.Name(ticket);
        }

        writer.Bytes(words);
        writer.Finish(at);
    }

    /// <summary>Writes the bytes for a buffer.</summary>
    public static void Write(FrameWriter writer, UserBufferWrite write)
    {
        writer.UInt64(write.Address);
        writer.UInt32((uint)write.Content.Length);
        writer.UInt32(write.ZeroBytes);
        writer.Byte((byte)(write.IsOr ? 1 : 0));
        writer.Reserved(7);
        writer.Bytes(write.Content);
    }

    private static void Write(FrameWriter writer, UserCopy copy)
    {
        writer.UInt64(copy.Buffer);
        writer.Byte((byte)(copy.IsWrite ? 1 : 0));
        writer.Reserved(3);
        writer.UInt32((uint)copy.Memory.Length);
        foreach (var piece in copy.Memory)
        {
            var identity = FrameWriter.Utf8(piece.File?.Identity, IoctlLimits.MaxIdentityLength);
            writer.UInt64(piece.Address);
            writer.UInt64(piece.Length);
            writer.UInt16(identity.Length);
            writer.Reserved(6);
            writer.Bytes(identity);
        }
    }
}
