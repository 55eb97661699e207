using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Gateway.Recording;

// The gateway sees each call of every program with all that it reads and all that it is answered, whatever thread or process it comes from. Calls that run together could be
// answered in another order than they run in, so while programs are recorded one call runs at a time: the order of the record is the order in which the service did them.

/// <summary>What the programs of a gateway do, call by call, in the order in which the service does it.</summary>
internal sealed class ProgramRecording
{
    /// <summary>Bytes of arguments and buffers that are kept.</summary>
    public const long MaxBytes = 512L << 20;

    // What a call takes beside its bytes.
    private const int CallBytes = 512;

    private readonly Lock _lock = new();
    private readonly List<ProgramCall> _calls = [];
    private Task _last = Task.CompletedTask;
    private long _bytes;
    private bool _isOver;

    /// <summary>Why the record is not complete; null if it is. It says what was done, for people.</summary>
    public string? Gap { get; private set; }

    /// <summary>Runs a call while no other one runs.</summary>
    public Task RunAsync(Func<Task> call)
    {
        lock (_lock)
        {
            return _last = AfterAsync(_last, call);
        }
    }

    /// <summary>Ends the record: waits for the call that runs.</summary>
    /// <returns>The calls until now, in order.</returns>
    public async Task<IReadOnlyList<ProgramCall>> EndAsync()
    {
        await RunAsync(() =>
        {
            lock (_lock)
            {
                _isOver = true;
            }

            return Task.CompletedTask;
        });
        return _calls;
    }

    /// <summary>Notes that a context was opened.</summary>
    public void Opened(ContextKey context) => Add(new ProgramOpen(context), 0);

    /// <summary>Notes an ioctl.</summary>
    /// <param name="context">The context.</param>
    /// <param name="request">The ioctl.</param>
    /// <param name="reply">What the program is answered.</param>
    /// <param name="copy">The copy that the service answered with; null for none.</param>
    /// <param name="read">Reads the bytes that are copied; null where they can't be read.</param>
    public void Ioctl(ContextKey context, IoctlRequest request, IoctlReply reply, UserCopy? copy, Func<UserCopy, byte[]?> read)
    {
        var copied = copy is null ? null : read(copy);
        if (reply.Diagnostic?.Reason == DiagnosticReason.FaultInjected)
        {
            Miss($"{IoctlText.Name(request.Command)} was made to fail, which a trace can't tell a replay");
        }

        var buffers = (request.Buffers ?? []).Sum(buffer => (long)buffer.Content.Length) + (reply.Buffers ?? []).Sum(write => (long)write.Content.Length);
        Add(new ProgramIoctl(context, request, reply, copy, copied), request.Argument.Length + (reply.Argument?.Length ?? 0) + buffers + (copied?.Length ?? 0));
    }

    /// <summary>Notes a read or a write of a file.</summary>
    public void Transferred(FileTarget file, FileRequest request, FileReply reply)
        => Add(new ProgramTransfer(file, request, reply), (reply.Data?.Length ?? 0) + (request is WriteFileRequest { Content.Length: var bytes } ? bytes : 0));

    /// <summary>Notes that a file was closed.</summary>
    public void Closed(FileTarget file) => Add(new ProgramClose(file), 0);

    /// <summary>Notes that something was done which can't be recorded. The first that was is kept.</summary>
    public void Miss(string what)
    {
        lock (_lock)
        {
            Gap ??= _isOver ? null : what;
        }
    }

    // Nothing runs within the lock.
    private static async Task AfterAsync(Task before, Func<Task> call)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        await call();
    }

    private void Add(ProgramCall call, long bytes)
    {
        lock (_lock)
        {
            if (_isOver || Gap is not null)
            {
                return;
            }

            _bytes += bytes + CallBytes;
            if (_bytes > MaxBytes)
            {
                Gap = $"its calls have more than {MaxBytes >> 20} MiB of arguments and buffers";
                _calls.Clear();
                return;
            }

            _calls.Add(call);
        }
    }
}
