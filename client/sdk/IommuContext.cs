using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>
/// A file of an open context, like a program's file descriptor of <c>/dev/iommu</c>. Disposing closes the file. Thread-safe: requests from several threads run one
/// after the other, in the order in which they reach the service.
/// </summary>
public sealed partial class IommuContext : IAsyncDisposable
{
    private readonly ClientCore _core;
    private readonly ContextCalls _grain;
    private readonly Session _session;
    private readonly LeasedReference _reference;
    private readonly ReleaseOnce<ReleaseReport?> _release;
    private readonly TracedCalls _traced;

    // Memory of this process that MapAsync has mapped. Closing the file ends it all.
    private readonly PinnedMappings _pins = new();

    internal IommuContext(ContextCalls grain, Session session, ReferenceReply opened)
    {
        (Mode, _grain, _session, _core) = (opened.Mode, grain, session, session.Core);
        _reference = _core.Leases.Add(new LeasedReference(grain, opened.Reference, opened.Lease, session));
        _release = _core.PutOnce("close", _reference);
        _traced = new TracedCalls(grain, _core.ServerAddress);
    }

    /// <summary>
    /// The context's handle. It is a secret: any program that has it can use the context. By a gateway it is bound to the identity that has opened the context, and names none for
    /// another (<see cref="GrantAsync"/>).
    /// </summary>
    public ContextHandle Handle => _grain.Handle;

    /// <summary>Whether the context outlives the silo that runs it.</summary>
    public ContextMode Mode { get; }

    /// <summary>
    /// Whether the service no longer has this file: the context was lost with its silo, or the file's lease expired because the service had not heard from this process.
    /// Requests answer EBADF then. Lease renewal sets this, so a request can find out earlier.
    /// </summary>
    public bool IsLost => _reference.IsLost;

    /// <summary>The memory that this context's <see cref="MapAsync"/> has mapped and keeps pinned, for accesses to copy from and to. Other addresses can't be accessed.</summary>
    public ICallerMemory Memory => _pins;

    /// <summary>Issues an ioctl whose argument lies in memory, as a program does.</summary>
    /// <param name="command">The full ioctl number.</param>
    /// <param name="argument">The address of the argument.</param>
    /// <param name="memory">The memory that the argument and its pointers refer to. The SDK writes to it what the ioctl writes.</param>
    /// <param name="cancellationToken">Cancels the wait; the ioctl may still run.</param>
    /// <returns>The answer; a failing ioctl does not throw.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<IoctlResult> IoctlAsync(uint command, ulong argument, ICallerMemory memory, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(memory);
        var reply = await SendAsync(IoctlMarshaller.CopyIn(command, argument, memory, _core.Memories), cancellationToken);
        reply = IoctlMarshaller.CopyOut(reply, argument, memory);
        return IoctlResult.From(command, reply.File is null ? reply : await InstallFileAsync(reply, argument, memory));
    }

    /// <summary>Issues an ioctl whose argument is in a buffer.</summary>
    /// <param name="command">The full ioctl number.</param>
    /// <param name="argument">The argument's bytes, with the size in the first u32. The SDK writes to them what the ioctl writes.</param>
    /// <param name="memory">The memory that pointers in the argument refer to; null makes every pointer invalid.</param>
    /// <param name="cancellationToken">Cancels the wait; the ioctl may still run.</param>
    /// <returns>The answer; a failing ioctl does not throw.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    public ValueTask<IoctlResult> IoctlAsync(uint command, Memory<byte> argument, ICallerMemory? memory = null, CancellationToken cancellationToken = default)
    {
        var withArgument = new ArgumentMemory(argument, memory);
        return IoctlAsync(command, ArgumentMemory.Address, withArgument, cancellationToken);
    }

    /// <summary>Issues an ioctl whose argument is a struct without pointers.</summary>
    /// <typeparam name="T">The command's struct; its first field is the size.</typeparam>
    /// <param name="command">The command.</param>
    /// <param name="argument">The argument. A size of 0 is replaced by the struct's size.</param>
    /// <param name="cancellationToken">Cancels the wait; the ioctl may still run.</param>
    /// <returns>The answer; a failing ioctl does not throw.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<IoctlResult> IoctlAsync<T>(IommuCommand command, T argument, CancellationToken cancellationToken = default)
        where T : unmanaged
    {
        var reply = await SendAsync(Request(command, in argument), cancellationToken);
        return IoctlResult.From((uint)command, reply.File is null ? reply : await InstallFileAsync(reply, 0, null));
    }

    /// <summary>
    /// Lets another identity of the gateway use this context: makes the handle by which it knows the context. With it, that identity may do all that this one may, as long as the
    /// context is open; it can't be taken back. For others the handle names no context.
    /// </summary>
    /// <param name="identity">Who: <c>user NUMBER</c>, <c>token NAME</c> or <c>certificate COMMON-NAME</c>.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The other identity's handle.</returns>
    /// <exception cref="IommufdException">EINVAL if the text is no identity, EBADF if the context is not open.</exception>
    /// <exception cref="NotSupportedException">The client has a grain factory: handles are bound to nobody there, and another program needs only <see cref="Handle"/>.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<ContextHandle> GrantAsync(string identity, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(identity);
        if (Encoding.UTF8.GetByteCount(identity) > GrantFrame.MaxIdentity)
        {
            throw new IommufdException("grant", Errno.EINVAL, null);
        }

        var reply = await _core.Transport.CallAsync("grant", () => _grain.GrantAsync(identity), static reply => reply.Errno == Errno.None, cancellationToken);
        return reply.Errno == Errno.None ? reply.Handle : throw new IommufdException("grant", reply.Errno, null);
    }

    /// <summary>Starts a batch: several ioctls that run in one turn of the context, in order, with no other request between them.</summary>
    /// <returns>The batch, without ioctls.</returns>
    public IoctlBatch CreateBatch() => new(this);

    /// <summary>Closes this file. Closing the last reference releases the context: its objects are destroyed, leaves first.</summary>
    /// <param name="cancellationToken">Cancels the wait; the file may still be closed.</param>
    /// <returns>What was released; null if the context has other references, or if the answer was lost with its silo.</returns>
    /// <exception cref="IommufdException">EBADF if the file is closed, or if the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came. The file is closed when its lease expires, if not before.</exception>
    public async Task<ReleaseReport?> CloseAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            var release = await _release.EndAsync(cancellationToken);
            _pins.Close();
            return release;
        }
        catch (IommufdException closed) when (closed.Errno == Errno.EBADF)
        {
            _pins.Close();
            throw;
        }
    }

    /// <summary>Closes this file unless it is closed. Does not throw: a file that the request does not reach is closed when its lease expires.</summary>
    /// <returns>Completes when the file is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        await _release.DisposeAsync();
        _pins.Close();
    }

    internal static IoctlRequest Request<T>(IommuCommand command, in T argument, UserBuffer[]? buffers = null, UserFile? file = null)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) == 0)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        }

        return IoctlMarshaller.FromBytes((uint)command, bytes, buffers, file);
    }

    /// <summary>Answers what the service asks of programs' memory.</summary>
    internal CallerMemories Memories => _core.Memories;

    /// <summary>Gives a reply's file a descriptor. If there is none to give, the ioctl is undone.</summary>
    internal async ValueTask<IoctlReply> InstallFileAsync(IoctlReply reply, ulong argument, ICallerMemory? memory)
    {
        var offset = reply.File!.Offset;
        if (reply.File.File.DmaBuf is not null)
        {
            var returned = memory?.InstallDmaBuf(DmaBufOf(reply.File)) ?? -1;
            return returned >= 0 ? new IoctlReply { ReturnValue = returned } : NoFreeDescriptor();
        }

        var file = FileOf(reply.File);
        var fileDescriptor = memory?.InstallFile(file) ?? -1;
        if (memory is null || fileDescriptor < 0)
        {
            await UndoFileAsync(file);
            return NoFreeDescriptor();
        }

        var bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, fileDescriptor);
        memory.Write(argument + (ulong)offset, bytes);
        return reply;
    }

    /// <summary>The dma-buf that an ioctl has opened: the exporter's, or one that the selftest has now made.</summary>
    internal static DmaBuf DmaBufOf(NewFile opened) => opened.File.Exported as DmaBuf ?? DmaBuf.OfSelftest(opened.File);

    private static IoctlReply NoFreeDescriptor() => new() { Errno = Errno.EMFILE, Diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.NoFreeDescriptor } };

    /// <summary>Undoes the ioctl that has opened a file.</summary>
    internal async Task UndoFileAsync(IommuFile file)
    {
        await file.DisposeAsync();

        // An access goes with its file, a queue does not.
        if (file.Target.Type != ObjectType.Access)
        {
            await SendAsync(Request(IommuCommand.Destroy, new IommuDestroy { Id = file.Target.Id.Value }), CancellationToken.None);
        }
    }

    /// <summary>Sends an ioctl that was copied in elsewhere.</summary>
    internal ValueTask<IoctlReply> SendAsync(IoctlRequest request, CancellationToken cancellationToken) => SendAsync(request, null, default, cancellationToken);

    /// <summary>Sends an ioctl that was copied in and named elsewhere.</summary>
    internal ValueTask<IoctlReply> SendAsync(IoctlRequest request, OperationId given, CancellationToken cancellationToken) => SendAsync(request, null, given, cancellationToken);

    /// <summary>The session of the file's requests.</summary>
    internal long SessionId => _session.Id;

    /// <summary>The file that an ioctl of this context has opened.</summary>
    internal IommuFile FileOf(NewFile opened) => new(opened.File, _grain, _core, _reference.Lease);

    internal ValueTask<IoctlBatchReply> SendBatchAsync(IoctlRequest[] requests, bool stopAtFirstError, CancellationToken cancellationToken)
        => TracedCalls.IsWanted
            ? _traced.BatchAsync(requests.Length, (this, requests, stopAtFirstError, cancellationToken), static call => call.Item1.SendBatchAsync(isTraced: true, call.requests, call.stopAtFirstError, call.cancellationToken))
            : SendBatchAsync(isTraced: false, requests, stopAtFirstError, cancellationToken);

    /// <summary>Begins what the ioctls of a batch do to what is pinned.</summary>
    internal PinEffect?[] BeginEffects(IoctlRequest[] requests) => Array.ConvertAll(requests, _pins.Begin);

    private async ValueTask<IoctlBatchReply> SendBatchAsync(bool isTraced, IoctlRequest[] requests, bool stopAtFirstError, CancellationToken cancellationToken)
    {
        IommufdException.ThrowIfTooLarge("batch", WireSize.Of(requests));
        var batch = new IoctlBatchRequest { Requests = requests, StopAtFirstError = stopAtFirstError, TakesParts = true };
        var call = new BatchCall(_session, _grain, batch) { IsTraced = isTraced };
        if (!Array.TrueForAll(requests, TryBeginOfDmaBuf))
        {
            throw new IommufdException("batch", Errno.ENOMEM, DmaBuf.InUse);
        }

        await _session.BeginAsync(call, cancellationToken);
        var reply = await call.StartAsync(cancellationToken);
        for (var i = 0; i < reply.Replies.Length; i++)
        {
            await EndOfDmaBufAsync(requests[i], reply.Replies[i]);
        }

        return reply;
    }

    private ValueTask<IoctlReply> SendAsync(IoctlRequest request, PinEffect? effect, OperationId given, CancellationToken cancellationToken)
        => TracedCalls.IsWanted
            ? _traced.IoctlAsync(
                request.Command, (this, request, effect, given, cancellationToken), static call => call.Item1.SendAsync(isTraced: true, call.request, call.effect, call.given, call.cancellationToken))
            : SendAsync(isTraced: false, request, effect, given, cancellationToken);

    private ValueTask<IoctlReply> SendAsync(bool isTraced, IoctlRequest request, PinEffect? effect, OperationId given, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return request.File is { Exported: DmaBuf } ? SendOfDmaBufAsync(isTraced, request, given, cancellationToken) : SendOneAsync(isTraced, request, effect, given, cancellationToken);
    }

    private ValueTask<IoctlReply> SendOneAsync(bool isTraced, IoctlRequest request, PinEffect? effect, OperationId given, CancellationToken cancellationToken)
    {
        if (request.File is { Target: { } target } file && target.Context != _grain.Key && IoctlTable.Find(request.Command)?.FileIn(request.Argument) is { IsActedOn: true })
        {
            return SendElsewhereAsync(file.Handle, request, cancellationToken);
        }

        var call = given.Lane == 0 ? new IoctlOperation(_session, _grain, request) { IsTraced = isTraced } : new NamedIoctl(_session, _grain, request, given) { IsTraced = isTraced };
        effect ??= _pins.Begin(request);
        return effect is not null ? SendNotedAsync(call, effect, cancellationToken)
            : _session.TryBegin(call) ? call.StartAsync(cancellationToken)
            : SendWhenRoomAsync(call, cancellationToken);
    }

    private async ValueTask<IoctlReply> SendOfDmaBufAsync(bool isTraced, IoctlRequest request, OperationId given, CancellationToken cancellationToken)
    {
        if (!TryBeginOfDmaBuf(request))
        {
            return new IoctlReply { Errno = Errno.ENOMEM, Diagnostic = DmaBuf.InUse };
        }

        var reply = await SendOneAsync(isTraced, request, null, given, cancellationToken);
        await EndOfDmaBufAsync(request, reply);
        return reply;
    }

    // What becomes of a dma-buf, its exporter decides, in this process: it must know what maps it before that does.
    private bool TryBeginOfDmaBuf(IoctlRequest request)
        => request is not { Command: (uint)IommuCommand.IoasMapFile, File.Exported: DmaBuf dmaBuf } || dmaBuf.TryNote(Handle, _core);

    private async Task EndOfDmaBufAsync(IoctlRequest request, IoctlReply reply)
    {
        if (reply.Errno != Errno.None || request.File is not { Exported: DmaBuf dmaBuf })
        {
            return;
        }

        if (request.Command == (uint)IommuCommand.IoasMapFile)
        {
            await dmaBuf.MappedAsync(Handle, _core);
        }
        else if (UapiStruct.Read<IommuTestCmd>(request.Argument).Fields.As<IommuTestDmabufRevoke>().Revoked != 0)
        {
            await dmaBuf.RevokeAsync();
        }
        else
        {
            dmaBuf.Restore();
        }
    }

    // A request without a number was never sent.
    private async ValueTask<IoctlReply> SendNotedAsync(IoctlOperation call, PinEffect effect, CancellationToken cancellationToken)
    {
        try
        {
            var reply = await SendWhenRoomAsync(call, cancellationToken);
            effect.End(reply);
            return reply;
        }
        catch (Exception exception)
        {
            effect.End(exception, wasSent: call.Sequence > 0);
            throw;
        }
    }

    private async ValueTask<IoctlReply> SendWhenRoomAsync(IoctlOperation call, CancellationToken cancellationToken)
    {
        await _session.BeginAsync(call, cancellationToken);
        return await call.StartAsync(cancellationToken);
    }

    // The argument names a file that leads to another context, where the ioctl runs. This file has no session there, so the request has no name and is sent once.
    private async ValueTask<IoctlReply> SendElsewhereAsync(ContextHandle context, IoctlRequest request, CancellationToken cancellationToken)
    {
        try
        {
            ValueTask<IoctlReply> sent;
            using (CallHeaders.Put(isTimed: false))
            {
                sent = _core.Grain(context).IoctlAsync(request, operation: default);
            }

            return await sent.AsTask().WaitAsync(cancellationToken);
        }
        catch (Exception exception) when (IommufdTransportException.IsTransport(exception) && !cancellationToken.IsCancellationRequested)
        {
            throw IommufdTransportException.From(IoctlTable.Find(request.Command)?.Name ?? "ioctl", exception);
        }
    }
}
