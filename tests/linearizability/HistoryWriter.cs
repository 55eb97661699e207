using System.Diagnostics;
using System.Text;
using IommuFd.Uapi;

namespace IommuFd.Linearizability;

/// <summary>
/// Records what the clients of one process do on one context, as JSON lines. Each line is handed to the operating system before the method
/// returns, so the end of the process loses none. Clients may share a writer.
/// </summary>
internal sealed class HistoryWriter(string path) : IDisposable
{
    private readonly FileStream _file = new(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
    private readonly Lock _lock = new();
    private long _lastOperation;

    /// <summary>Records an ioctl. Must be called before it is sent.</summary>
    /// <param name="client">The client.</param>
    /// <param name="ioctl">The ioctl.</param>
    /// <returns>The operation's number, for its outcome.</returns>
    public long Invoke(int client, Ioctl ioctl)
    {
        var operation = Interlocked.Increment(ref _lastOperation);
        Write(new HistoryLine
        {
            Operation = operation,
            Client = client,
            Invoked = Stopwatch.GetTimestamp(),
            Command = ioctl.Command,
            Argument = Convert.ToHexStringLower(ioctl.Argument),
        });
        return operation;
    }

    /// <summary>
    /// Records an answer. Must be called after it arrived; if none arrives, nothing is recorded and the outcome is unknown.
    /// </summary>
    /// <param name="operation">The operation.</param>
    /// <param name="errno">The errno.</param>
    /// <param name="answer">The bytes copied back; null for none.</param>
    public void Complete(long operation, Errno errno, byte[]? answer) => Write(new HistoryLine
    {
        Operation = operation,
        Completed = Stopwatch.GetTimestamp(),
        Errno = errno.ToString(),
        Answer = answer is { Length: > 0 } ? Convert.ToHexStringLower(answer) : null,
    });

    /// <summary>Records that an ioctl has not run and won't: it is not part of the history.</summary>
    /// <param name="operation">The operation.</param>
    public void NotRun(long operation) => Write(new HistoryLine { Operation = operation, NotRun = true });

    public void Dispose() => _file.Dispose();

    private void Write(HistoryLine line)
    {
        var bytes = Encoding.UTF8.GetBytes($"{line}\n");
        lock (_lock)
        {
            _file.Write(bytes);
        }
    }
}
