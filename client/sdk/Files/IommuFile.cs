using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>
/// A file that an ioctl has opened: a fault queue's, an event queue's, or that of the access that <c>IOMMU_TEST_OP_CREATE_ACCESS</c> makes.
/// Disposing closes the file. Thread-safe: reads and writes from several threads run one after the other.
/// </summary>
public sealed class IommuFile : IAsyncDisposable
{
    private readonly ClientCore _core;
    private readonly Session _session;
    private readonly LeasedReference _reference;
    private readonly ReleaseOnce<ReleaseReport?> _release;
    private readonly TracedCalls _traced;

    internal IommuFile(UserFile file, ContextCalls grain, ClientCore core, TimeSpan lease, long lane = 0)
    {
        (File, Target, _core) = (file with { Handle = grain.Handle }, file.Target ?? throw new InvalidOperationException($"The ioctl opened '{file.Identity}', which leads to no object."), core);
        _session = new Session(core) { Id = FileTarget.SessionOf(Target.Reference), Lane = lane };
        _reference = core.Leases.Add(new LeasedReference(grain, Target.Reference, lease, _session));
        _release = core.PutOnce("close", _reference);
        _traced = new TracedCalls(grain, core.ServerAddress);
    }

    /// <summary>What the SDK sends with an argument that names the file by its descriptor.</summary>
    public UserFile File { get; }

    /// <summary>What the file leads to.</summary>
    public FileTarget Target { get; }

    /// <summary>Whether the service no longer has this file, as for <see cref="IommuContext.IsLost"/>.</summary>
    public bool IsLost => _reference.IsLost;

    /// <summary>Reads the file into memory, as a program does (<c>read</c>): as many whole records as fit. Never waits for something to read.</summary>
    /// <param name="address">The address of the buffer.</param>
    /// <param name="count">Bytes of the buffer.</param>
    /// <param name="memory">The memory that the buffer is in.</param>
    /// <param name="cancellationToken">Cancels the wait; the file may still be read, and what was read is lost then.</param>
    /// <returns>
    /// The answer; a failing read does not throw. ESPIPE if <paramref name="count"/> is not a multiple of the file's records, EFAULT if the
    /// first record that fits can't be written, EINVAL if the file can't be read, EBADF if it is closed.
    /// </returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    /// <exception cref="InvalidDataException">The service answered more than was asked for.</exception>
    public async ValueTask<FileResult> ReadAsync(ulong address, ulong count, ICallerMemory memory, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(memory);
        var reply = await RunAsync(new ReadFileRequest(count, memory.Accessible(address, count, MemoryAccess.Write)), cancellationToken);
        var data = reply.Data ?? [];
        if (reply.Count != data.Length || (ulong)data.Length > count)
        {
            throw new InvalidDataException($"{data.Length} bytes came for a read of {count}, which is said to have read {reply.Count}.");
        }

        memory.Write(address, data);
        return new FileResult("read", reply.Errno, reply.Count, reply.Diagnostic);
    }

    /// <summary>Reads the file into a buffer.</summary>
    /// <param name="buffer">The buffer.</param>
    /// <param name="cancellationToken">Cancels the wait; the file may still be read, and what was read is lost then.</param>
    /// <returns>The answer; a failing read does not throw. ESPIPE if the buffer's length is not a multiple of the file's records.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public ValueTask<FileResult> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        => ReadAsync(ArgumentMemory.Address, (ulong)buffer.Length, new ArgumentMemory(buffer, null), cancellationToken);

    /// <summary>Writes memory to the file, as a program does (<c>write</c>): whole records, in order, up to the first that is refused.</summary>
    /// <param name="address">The address of the buffer.</param>
    /// <param name="count">Bytes of the buffer.</param>
    /// <param name="memory">The memory that the buffer is in.</param>
    /// <param name="cancellationToken">Cancels the wait; the file may still be written.</param>
    /// <returns>
    /// The answer; a failing write does not throw. ESPIPE if <paramref name="count"/> is not a multiple of the file's records, EFAULT if the
    /// first record can't be read, EINVAL if it is refused or if the file can't be written, EBADF if it is closed.
    /// </returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    /// <exception cref="InvalidDataException">The service answered that more was written than was sent.</exception>
    public async ValueTask<FileResult> WriteAsync(ulong address, ulong count, ICallerMemory memory, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(memory);
        var content = new byte[Math.Min(memory.Accessible(address, count, MemoryAccess.Read), IoctlLimits.MaxBufferBytes)];
        Array.Resize(ref content, memory.Read(address, content));
        var reply = await RunAsync(new WriteFileRequest(count, content), cancellationToken);
        if (reply.Count < 0 || reply.Count > content.Length)
        {
            throw new InvalidDataException($"A write of {content.Length} bytes is said to have written {reply.Count}.");
        }

        return new FileResult("write", reply.Errno, reply.Count, reply.Diagnostic);
    }

    /// <summary>Writes a buffer to the file.</summary>
    /// <param name="buffer">The records.</param>
    /// <param name="cancellationToken">Cancels the wait; the file may still be written.</param>
    /// <returns>The answer; a failing write does not throw.</returns>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public ValueTask<FileResult> WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        => WriteAsync(ArgumentMemory.Address, (ulong)buffer.Length, new ArgumentMemory(MemoryMarshal.AsMemory(buffer), null), cancellationToken);

    /// <summary>Says what can be done with the file (<c>poll</c>).</summary>
    /// <param name="wait">How long to wait for something to read; the default asks at once. A long wait is several calls.</param>
    /// <param name="cancellationToken">Cancels the wait.</param>
    /// <returns>The events.</returns>
    /// <exception cref="IommufdException">EBADF if the file is closed, or if the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<PollEvents> PollAsync(TimeSpan wait = default, CancellationToken cancellationToken = default)
    {
        // A call that waits must end before its attempt times out. What was waited for is counted by the calls, so that no clock can keep this going.
        var longest = TimeSpan.FromTicks(Math.Min(TimeSpan.FromMilliseconds(IoctlLimits.MaxPollWaitMs).Ticks, _core.Options.AttemptTimeout.Ticks / 2));
        for (var left = wait > TimeSpan.Zero ? wait : TimeSpan.Zero; ;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var part = left < longest ? left : longest;
            var reply = await _core.Transport.CallAsync("poll", () => _reference.Grain.PollFileAsync(Target, part).AsTask(), static _ => true, cancellationToken);
            if (reply.Errno != Errno.None)
            {
                throw new IommufdException(
                    "poll", reply.Errno, reply.Errno == Errno.EBADF ? new IoctlDiagnostic { Reason = DiagnosticReason.FileLeadsNowhere, ObjectId = Target.Id } : null);
            }

            left -= part;
            if (reply.Events.HasFlag(PollEvents.In) || left == TimeSpan.Zero)
            {
                return reply.Events;
            }
        }
    }

    /// <summary>Closes the file. If it was the context's last reference, the context is released.</summary>
    /// <param name="cancellationToken">Cancels the wait; the file may still be closed.</param>
    /// <returns>What was released; null if the context has other references, or if the answer was lost with its silo.</returns>
    /// <exception cref="IommufdException">EBADF if the file is closed, or if the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ReleaseReport?> CloseAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Closes the file unless it is closed. Does not throw.</summary>
    /// <returns>Completes when the file is closed.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();

    /// <summary>Sends a read or a write that was copied in elsewhere.</summary>
    internal ValueTask<FileReply> RunAsync(FileRequest request, CancellationToken cancellationToken) => RunAsync(request, default, cancellationToken);

    /// <summary>The same, named elsewhere.</summary>
    internal ValueTask<FileReply> RunAsync(FileRequest request, OperationId given, CancellationToken cancellationToken)
        => TracedCalls.IsWanted
            ? _traced.RunAsync(
                CallSpan.Context(request is WriteFileRequest ? "write" : "read"),
                (this, request, given, cancellationToken),
                static call => call.Item1.SendAsync(isTraced: true, call.request, call.given, call.cancellationToken),
                static reply => reply.Errno)
            : SendAsync(isTraced: false, request, given, cancellationToken);

    private async ValueTask<FileReply> SendAsync(bool isTraced, FileRequest request, OperationId given, CancellationToken cancellationToken)
    {
        var call = given.Lane == 0 ? new FileCall(_session, _reference.Grain, Target, request) { IsTraced = isTraced } : new NamedFileCall(_session, _reference.Grain, Target, request, given) { IsTraced = isTraced };
        await _session.BeginAsync(call, cancellationToken);
        return await call.StartAsync(cancellationToken);
    }
}
