using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>
/// An open context, as a program's file descriptor of <c>/dev/iommu</c>. Disposing it closes it. Thread-safe: requests from several threads run one after
/// the other, in the order in which the service gets them.
/// </summary>
public sealed partial class IommuContext : IAsyncDisposable
{
    private readonly IContextGrain _grain;
    private readonly Func<ContextHandle, IContextGrain> _contexts;
    private readonly Session _session;
    private readonly Transport _transport;
    private readonly LeaseKeeper _leases;
    private readonly TimeSpan _lease;
    private readonly Ownership<ReleaseReport?> _file;

    internal IommuContext(
        ContextHandle handle,
        IContextGrain grain,
        Func<ContextHandle, IContextGrain> contexts,
        Session session,
        ReferenceReply taken,
        Transport transport,
        LeaseKeeper leases)
    {
        Handle = handle;
        Mode = taken.Mode;
        _grain = grain;
        _contexts = contexts;
        _session = session;
        _transport = transport;
        _leases = leases;
        _lease = taken.Lease;
        _file = Ownership.OfReference("close", handle, grain, taken.Reference, taken.Lease, transport, leases);
    }

    /// <summary>The context's handle. Whoever gets it can act on the context.</summary>
    public ContextHandle Handle { get; }

    /// <summary>Whether the context outlives the silo that runs it.</summary>
    public ContextMode Mode { get; }

    /// <summary>Issues an ioctl whose argument lies in memory, as a program does.</summary>
    /// <param name="command">The full ioctl number.</param>
    /// <param name="argument">The address of the argument.</param>
    /// <param name="memory">The memory that it and its pointers lie in. Changed as the ioctl would change it.</param>
    /// <param name="cancellationToken">Stops the waiting; the ioctl may have run then.</param>
    /// <returns>The answer; a failing ioctl does not throw.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    /// <exception cref="OperationCanceledException">The waiting was stopped.</exception>
    public async ValueTask<IoctlResult> IoctlAsync(uint command, ulong argument, ICallerMemory memory, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(memory);
        var reply = await SendAsync(IoctlMarshaller.CopyIn(command, argument, memory), cancellationToken);
        reply = IoctlMarshaller.CopyOut(reply, argument, memory);
        return IoctlResult.From(command, reply.File is null ? reply : await InstallFileAsync(reply, argument, memory));
    }

    /// <summary>Issues an ioctl whose argument is in a buffer of the caller's.</summary>
    /// <param name="command">The full ioctl number.</param>
    /// <param name="argument">The argument's bytes, the size in the first u32. Changed as the ioctl would change them.</param>
    /// <param name="memory">What pointers in the argument lead to; null where there are none, or they should lead nowhere.</param>
    /// <param name="cancellationToken">Stops the waiting; the ioctl may have run then.</param>
    /// <returns>The answer; a failing ioctl does not throw.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    /// <exception cref="OperationCanceledException">The waiting was stopped.</exception>
    public ValueTask<IoctlResult> IoctlAsync(uint command, Memory<byte> argument, ICallerMemory? memory = null, CancellationToken cancellationToken = default)
    {
        var withArgument = new ArgumentMemory(argument, memory);
        return IoctlAsync(command, ArgumentMemory.Address, withArgument, cancellationToken);
    }

    /// <summary>Issues an ioctl whose argument is a struct without pointers.</summary>
    /// <typeparam name="T">The command's struct; its first field is the size.</typeparam>
    /// <param name="command">The command.</param>
    /// <param name="argument">The argument. Its size is filled in where it is 0.</param>
    /// <param name="cancellationToken">Stops the waiting; the ioctl may have run then.</param>
    /// <returns>The answer; a failing ioctl does not throw.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    /// <exception cref="OperationCanceledException">The waiting was stopped.</exception>
    public async ValueTask<IoctlResult> IoctlAsync<T>(IommuCommand command, T argument, CancellationToken cancellationToken = default)
        where T : unmanaged
    {
        var reply = await SendAsync(Request(command, in argument), cancellationToken);
        return IoctlResult.From((uint)command, reply.File is null ? reply : await InstallFileAsync(reply, 0, null));
    }

    /// <summary>Starts a batch: several ioctls that run in one turn of the context, in order, with nothing of others between them.</summary>
    /// <returns>The batch, empty.</returns>
    public IoctlBatch CreateBatch() => new(this);

    /// <summary>Shows the context and a page of its objects. Does not wait for requests that run.</summary>
    /// <param name="after">Only objects with greater ids; default starts at the first.</param>
    /// <param name="limit">At most so many objects.</param>
    /// <param name="withState">Whether each object's own state is shown too.</param>
    /// <param name="cancellationToken">Ends the inspection early.</param>
    /// <returns>The page.</returns>
    /// <exception cref="IommufdException">EBADF where the context is closed.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ContextInspection> InspectAsync(
        ObjectId after = default, int limit = IoctlLimits.MaxInspectionPage, bool withState = false, CancellationToken cancellationToken = default)
        => IommufdClient.InspectAsync(_transport, _grain, new InspectRequest(after, limit, withState), cancellationToken);

    /// <summary>Closes this file. The last reference to the context releases it: its objects are destroyed, leaves first.</summary>
    /// <returns>What was released; null where others still refer to the context.</returns>
    /// <exception cref="IommufdException">EBADF where it is closed already, or the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<ReleaseReport?> CloseAsync()
    {
        var release = await _file.EndAsync();
        _pins.RemoveAll();
        return release;
    }

    /// <summary>Closes this file where it is still open. Does not throw: a context that can't be reached is closed by its silo's end.</summary>
    /// <returns>When it is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        await _file.DisposeAsync();
        _pins.RemoveAll();
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

    /// <summary>Gives the file of a reply a descriptor. Where there is none to give, the file is closed again, which undoes the ioctl.</summary>
    internal async ValueTask<IoctlReply> InstallFileAsync(IoctlReply reply, ulong argument, ICallerMemory? memory)
    {
        var (offset, opened) = reply.File!;
        var file = new IommuFile(opened, _contexts(opened.Access!.Context), _lease, _transport, _leases);
        var fileDescriptor = memory?.InstallFile(file) ?? -1;
        if (memory is null || fileDescriptor < 0)
        {
            await file.DisposeAsync();
            return new IoctlReply { Errno = Errno.EMFILE, Diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.NoFreeDescriptor } };
        }

        var bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, fileDescriptor);
        memory.Write(argument + (ulong)offset, bytes);
        return reply;
    }

    /// <summary>Runs a batch.</summary>
    internal async Task<IoctlBatchReply> SendAsync(IoctlRequest[] requests, bool stopAtFirstError, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var operation = await _session.BeginAsync(cancellationToken);
        try
        {
            return await _transport.CallAsync(
                "batch",
                isRepeat => _grain.IoctlBatchAsync(
                    new IoctlBatchRequest { Requests = requests, StopAtFirstError = stopAtFirstError, Operation = operation with { IsRepeat = isRepeat } }).AsTask(),
                cancellationToken);
        }
        finally
        {
            _session.End(operation.Sequence);
        }
    }

    // A file may lead to another context than the one whose descriptor the ioctl is issued on: what it is about decides. That context has no session of
    // this file's, so that what gets no answer is not sent again.
    private ValueTask<IoctlReply> SendAsync(IoctlRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return request.File?.Access is { } access && access.Context != Handle
            ? SendOnceAsync(_contexts(access.Context), request, cancellationToken)
            : SendNamedAsync(request, cancellationToken);
    }

    // Not Transport.CallAsync: an ioctl that succeeds should cost no closure.
    private async ValueTask<IoctlReply> SendNamedAsync(IoctlRequest request, CancellationToken cancellationToken)
    {
        var operation = await _session.BeginAsync(cancellationToken);
        try
        {
            var reply = _grain.IoctlAsync(request.Named(operation));
            return cancellationToken.CanBeCanceled ? await reply.AsTask().WaitAsync(cancellationToken) : await reply;
        }
        catch (Exception exception) when (IommufdTransportException.IsTransport(exception))
        {
            return await SendAgainAsync(request, operation with { IsRepeat = true }, exception, cancellationToken);
        }
        finally
        {
            _session.End(operation.Sequence);
        }
    }

    private Task<IoctlReply> SendAgainAsync(IoctlRequest request, OperationId operation, Exception failure, CancellationToken cancellationToken)
    {
        var named = request.Named(operation);
        return _transport.AgainAsync(NameOf(request), failure, _ => _grain.IoctlAsync(named).AsTask(), cancellationToken);
    }

    private static async ValueTask<IoctlReply> SendOnceAsync(IContextGrain grain, IoctlRequest request, CancellationToken cancellationToken)
    {
        try
        {
            return await grain.IoctlAsync(request).AsTask().WaitAsync(cancellationToken);
        }
        catch (Exception exception) when (IommufdTransportException.IsTransport(exception))
        {
            throw IommufdTransportException.From(NameOf(request), exception);
        }
    }

    private static string NameOf(IoctlRequest request) => IoctlTable.Find(request.Command)?.Name ?? "ioctl";
}
