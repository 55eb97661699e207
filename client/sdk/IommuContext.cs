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
    private readonly ClientCore _core;
    private readonly IContextGrain _grain;
    private readonly Session _session;
    private readonly LeasedReference _reference;
    private readonly ReleaseOnce<ReleaseReport?> _file;
    private readonly TracedCalls _traced;

    internal IommuContext(ContextHandle handle, IContextGrain grain, Session session, ReferenceReply opened)
    {
        (Handle, Mode, _grain, _session, _core) = (handle, opened.Mode, grain, session, session.Core);
        _reference = _core.Leases.Add(new LeasedReference(handle, grain, opened.Reference, opened.Lease, session));
        _file = _core.Owner("close", _reference);
        _traced = new TracedCalls(handle, _core.ClusterId);
    }

    /// <summary>The context's handle. Whoever gets it can act on the context.</summary>
    public ContextHandle Handle { get; }

    /// <summary>Whether the context outlives the silo that runs it.</summary>
    public ContextMode Mode { get; }

    /// <summary>
    /// Whether the service was found to have this file no more: the context went with its silo, or nothing was heard of this process for longer than the file's lease.
    /// What it is asked then is EBADF. Found out by the renewal of the lease, which comes later than a request would.
    /// </summary>
    public bool IsLost => _reference.IsLost;

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
        => IommufdClient.InspectAsync(_core.Transport, _grain, new InspectRequest(after, limit, withState), cancellationToken);

    /// <summary>Closes this file. The last reference to the context releases it: its objects are destroyed, leaves first.</summary>
    /// <param name="cancellationToken">Stops the waiting; the file may be closed then.</param>
    /// <returns>What was released; null where others still refer to the context, and where the answer was lost with its silo.</returns>
    /// <exception cref="IommufdException">EBADF where it is closed already, or the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came. The file is closed when its lease is over, if not before.</exception>
    public async Task<ReleaseReport?> CloseAsync(CancellationToken cancellationToken = default)
    {
        var release = await _file.EndAsync(cancellationToken);
        _pins.RemoveAll();
        return release;
    }

    /// <summary>Closes this file where it is still open. Does not throw: a file that can't be reached is closed when its lease is over.</summary>
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
        var access = opened.Access!;
        var file = new IommuFile(opened, _core, new LeasedReference(access.Context, _core.Grain(access.Context), access.Reference, _reference.Lease, null));
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

    internal ValueTask<IoctlBatchReply> SendBatchAsync(IoctlRequest[] requests, bool stopAtFirstError, CancellationToken cancellationToken)
        => TracedCalls.IsWanted
            ? _traced.BatchAsync(requests.Length, (this, requests, stopAtFirstError, cancellationToken), static call => call.Item1.SendBatchAsync(isTraced: true, call.requests, call.stopAtFirstError, call.cancellationToken))
            : SendBatchAsync(isTraced: false, requests, stopAtFirstError, cancellationToken);

    private async ValueTask<IoctlBatchReply> SendBatchAsync(bool isTraced, IoctlRequest[] requests, bool stopAtFirstError, CancellationToken cancellationToken)
    {
        var batch = new IoctlBatchRequest { Requests = requests, StopAtFirstError = stopAtFirstError };
        var call = new BatchCall(_session, _grain, batch) { IsTraced = isTraced };
        await _session.BeginAsync(call, cancellationToken);
        return await call.StartAsync(cancellationToken);
    }

    private ValueTask<IoctlReply> SendAsync(IoctlRequest request, CancellationToken cancellationToken)
        => TracedCalls.IsWanted ? SendTracedAsync(request, cancellationToken) : SendAsync(isTraced: false, request, cancellationToken);

    private ValueTask<IoctlReply> SendTracedAsync(IoctlRequest request, CancellationToken cancellationToken)
        => _traced.IoctlAsync(request.Command, (this, request, cancellationToken), static call => call.Item1.SendAsync(isTraced: true, call.request, call.cancellationToken));

    private ValueTask<IoctlReply> SendAsync(bool isTraced, IoctlRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (request.File?.Access is { } access && access.Context != Handle)
        {
            return SendElsewhereAsync(access.Context, request, cancellationToken);
        }

        var call = new IoctlOperation(_session, _grain, request) { IsTraced = isTraced };
        return _session.TryBegin(call) ? call.StartAsync(cancellationToken) : SendWhenRoomAsync(call, cancellationToken);
    }

    private async ValueTask<IoctlReply> SendWhenRoomAsync(IoctlOperation call, CancellationToken cancellationToken)
    {
        await _session.BeginAsync(call, cancellationToken);
        return await call.StartAsync(cancellationToken);
    }

    // A file may lead to another context than the one whose descriptor the ioctl is issued on: what it is about decides. This file has no session there.
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
