using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>What is asked of a context by its handle, beside ioctls.</summary>
internal enum CallMethod : byte
{
    Open = 1,
    Get,
    Put,
    Renew,
    BatchRest,
    Driver,
    File,
    Poll,
    Inspect,
    InspectObject,
    InspectGraph,
    ExplainBusy,
    Tail,
    ListFaults,
}

/// <summary>Whether a request by handle was answered.</summary>
internal enum CallStatus : byte
{
    /// <summary>The answer follows.</summary>
    Answered = 0,

    /// <summary>The context can't answer now, and the request is to be sent again under its name. Why follows, as text.</summary>
    Unavailable,

    /// <summary>No answer came from the service: the request may have run. Why follows, as text.</summary>
    NoAnswer,
}

/// <summary>The answer to a request that takes or asks for a reference.</summary>
/// <param name="Reply">The context's answer.</param>
/// <param name="Key">The context's key.</param>
internal sealed record Referred(ReferenceReply Reply, ContextKey Key);

// The requests' messages where the contract's method has several parameters.

internal sealed record PutCall(ReferenceId Reference);

internal sealed record RenewCall(ReferenceId[] References);

internal sealed record RestCall(OperationId Operation, int From);

internal sealed record DriverCallMessage(ReferenceId Reference, DriverRequest Request, OperationId Operation);

internal sealed record FileCallMessage(FileTarget Target, FileRequest Request, OperationId Operation);

internal sealed record PollCall(FileTarget Target, TimeSpan Wait);

internal sealed record ObjectCall(ObjectId Id, StatePage Page);

internal sealed record ObjectAnswer(ObjectInspection? Object);

internal sealed record ExplainCall(ObjectId Id);

/// <summary>A request by handle, with its message as JSON.</summary>
internal readonly ref struct CallFrame
{
    public Guid Handle { get; private init; }

    public CallMethod Method { get; private init; }

    public byte[] Message { get; private init; }

    public static CallFrame Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var handle = reader.Name();
        var method = (CallMethod)reader.Choice((byte)CallMethod.ListFaults);
        reader.Reserved(7);
        return new CallFrame { Handle = handle, Method = method, Message = reader.Rest() };
    }

    public static void Write(FrameWriter writer, uint tag, ContextHandle handle, CallMethod method, byte[] message)
    {
        var at = writer.Begin(FrameKind.Call, tag);
        writer.Name(handle.Value);
        writer.Byte((byte)method);
        writer.Reserved(7);
        writer.Bytes(message);
        writer.Finish(at);
    }
}

/// <summary>The answers to requests by handle.</summary>
internal static class CallAnswer
{
    /// <summary>Begins an answer. What follows is the answer, or text.</summary>
    public static int Begin(FrameWriter writer, FrameKind kind, uint tag, CallStatus status)
    {
        var at = writer.Begin(kind | FrameKind.Answer, tag);
        writer.Byte((byte)status);
        writer.Reserved(7);
        return at;
    }

    public static void Write(FrameWriter writer, FrameKind kind, uint tag, CallStatus status, byte[] content)
    {
        var at = Begin(writer, kind, tag, status);
        writer.Bytes(content);
        writer.Finish(at);
    }
}

/// <summary>Ioctls of a context by its handle, one or a batch, and their answers.</summary>
internal static class HandleIoctl
{
    private const byte StopsAtError = 1, TakesParts = 2, IsBatchRepeat = 4;

    // What is rare in an answer.
    private sealed record Rest(IoctlDiagnostic? Diagnostic, NewFile? File, UserCopy? Copy);

    public static void Write(FrameWriter writer, uint tag, ContextHandle handle, IoctlRequest request, OperationId operation)
    {
        var at = writer.Begin(FrameKind.HandleIoctl, tag);
        WriteNames(writer, handle, operation);
        IoctlFrame.WriteRequest(writer, request, operation.IsRepeat ? CallStart.WasSent : (byte)0);
        writer.Finish(at);
    }

    public static void Write(FrameWriter writer, uint tag, ContextHandle handle, IoctlBatchRequest batch, OperationId operation)
    {
        var at = writer.Begin(FrameKind.HandleBatch, tag);
        WriteNames(writer, handle, operation);
        writer.UInt32((uint)batch.Requests.Length);
        writer.Byte((byte)((batch.StopAtFirstError ? StopsAtError : 0) | (batch.TakesParts ? TakesParts : 0) | (operation.IsRepeat ? IsBatchRepeat : 0)));
        writer.Reserved(3);
        foreach (var request in batch.Requests)
        {
            IoctlFrame.WriteRequest(writer, request, flags: 0);
        }

        writer.Finish(at);
    }

    public static (ContextHandle Handle, IoctlBatchRequest Batch, OperationId Operation) ReadBatch(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var names = CallStart.ReadNames(ref reader);
        var requests = new IoctlRequest[reader.Length(IoctlLimits.MaxBatch)];
        var flags = reader.Choice(StopsAtError | TakesParts | IsBatchRepeat);
        reader.Reserved(3);
        for (var i = 0; i < requests.Length; i++)
        {
            requests[i] = IoctlFrame.ReadRequest(ref reader, byHandle: true).Request;
        }

        reader.End();
        var start = CallStart.Of(names, (flags & IsBatchRepeat) != 0 ? CallStart.WasSent : (byte)0);
        return (
            new ContextHandle(start.Ticket),
            new IoctlBatchRequest { Requests = requests, StopAtFirstError = (flags & StopsAtError) != 0, TakesParts = (flags & TakesParts) != 0 },
            start.Operation);
    }

    public static void WriteAnswer(FrameWriter writer, uint tag, IoctlReply reply)
    {
        var at = CallAnswer.Begin(writer, FrameKind.HandleIoctl, tag, CallStatus.Answered);
        Write(writer, reply);
        writer.Finish(at);
    }

    public static void WriteAnswer(FrameWriter writer, uint tag, IoctlBatchReply batch) => WriteAnswer(writer, tag, batch, FrameKind.HandleBatch);

    public static void WriteAnswer(FrameWriter writer, uint tag, IoctlBatchReply batch, FrameKind kind)
    {
        var at = CallAnswer.Begin(writer, kind, tag, CallStatus.Answered);
        writer.UInt32((uint)batch.Errno);
        writer.UInt32((uint)batch.Missing);
        writer.UInt32((uint)batch.Replies.Length);
        var diagnostic = batch.Diagnostic is null ? [] : WireJson.Write(batch.Diagnostic);
        writer.UInt32((uint)diagnostic.Length);
        writer.Bytes(diagnostic);
        foreach (var reply in batch.Replies)
        {
            Write(writer, reply);
        }

        writer.Finish(at);
    }

    public static IoctlBatchReply ReadBatchAnswer(ref FrameReader reader)
    {
        var (errno, missing) = ((Errno)reader.UInt32(), reader.Length(IoctlLimits.MaxBatch));
        var replies = new IoctlReply[reader.Length(IoctlLimits.MaxBatch)];
        var diagnosticLength = reader.Length(int.MaxValue);
        var diagnostic = diagnosticLength == 0 ? null : WireJson.Read<IoctlDiagnostic>(reader.Span(diagnosticLength));
        for (var i = 0; i < replies.Length; i++)
        {
            replies[i] = Read(ref reader);
        }

        return new IoctlBatchReply { Errno = errno, Missing = missing, Replies = replies, Diagnostic = diagnostic };
    }

    public static IoctlReply Read(ref FrameReader reader)
    {
        var (errno, returned) = ((Errno)reader.UInt32(), (int)reader.UInt32());
        var (argumentLength, writes, restLength) = (reader.Length(int.MaxValue), reader.Length(int.MaxValue), reader.Length(int.MaxValue));
        if (errno == Errno.None && returned == 0 && argumentLength == 0 && writes == 0 && restLength == 0)
        {
            return IoctlReply.Success;
        }

        var argument = argumentLength == 0 ? null : reader.Bytes(argumentLength);
        List<UserBufferWrite>? buffers = null;
        for (var i = 0; i < writes; i++)
        {
            var (address, length, zeros) = (reader.UInt64(), reader.Length(int.MaxValue), reader.UInt32());
            var isOr = reader.Choice(1) == 1;
            reader.Reserved(7);
            (buffers ??= []).Add(new UserBufferWrite(address, reader.Bytes(length)) { IsOr = isOr, ZeroBytes = zeros });
        }

        var rest = restLength == 0 ? null : WireJson.Read<Rest>(reader.Span(restLength));
        return new IoctlReply
        {
            Errno = errno,
            ReturnValue = returned,
            Argument = argument,
            Buffers = buffers?.ToArray(),
            Diagnostic = rest?.Diagnostic,
            File = rest?.File,
            Copy = rest?.Copy,
        };
    }

    private static void Write(FrameWriter writer, IoctlReply reply)
    {
        var rest = reply.Diagnostic is null && reply.File is null && reply.Copy is null ? [] : WireJson.Write(new Rest(reply.Diagnostic, reply.File, reply.Copy));
        writer.UInt32((uint)reply.Errno);
        writer.UInt32((uint)reply.ReturnValue);
        writer.UInt32((uint)(reply.Argument?.Length ?? 0));
        writer.UInt32((uint)(reply.Buffers?.Length ?? 0));
        writer.UInt32((uint)rest.Length);
        writer.Bytes(reply.Argument);
        foreach (var write in reply.Buffers ?? [])
        {
            IoctlAnswer.Write(writer, write);
        }

        writer.Bytes(rest);
    }

    private static void WriteNames(FrameWriter writer, ContextHandle handle, OperationId operation)
    {
        writer.Name(handle.Value);
        writer.UInt64((ulong)operation.Session);
        writer.UInt64((ulong)operation.Sequence);
        writer.UInt64((ulong)operation.Settled);
    }
}
