using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// Reading takes records out of the service's queue, so none of them may get lost on the way to the program. One read is under way at most, and only
// when the program asks for a record and none is left of the read before. A program that stops waiting leaves the read, and what it brings, to the next
// that asks.

/// <summary>Reads the records of a queue's file, one whenever it is asked.</summary>
/// <param name="file">The file.</param>
/// <param name="buffer">The bytes of one read: room for the longest record.</param>
/// <param name="decode">Decodes the first record of some bytes, and says how many of them it has: at least 1.</param>
#pragma warning disable CA1001 // A semaphore whose wait handle nobody asks for has nothing to dispose.
internal sealed class QueueReader<T>(IommuFile file, byte[] buffer, Func<ReadOnlyMemory<byte>, (T Record, int Bytes)> decode)
#pragma warning restore CA1001
{
    private static readonly TimeSpan Wait = TimeSpan.FromMilliseconds(IoctlLimits.MaxPollWaitMs);

    private readonly SemaphoreSlim _turn = new(1);
    private ReadOnlyMemory<byte> _unread;
    private Task<FileResult>? _reading;

    /// <summary>Takes the next record as soon as there is one.</summary>
    /// <exception cref="IommufdException">EBADF if the file is closed.</exception>
    /// <exception cref="InvalidDataException">The service answered what is no record.</exception>
    public async ValueTask<T> TakeAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            while (_unread.IsEmpty)
            {
                _unread = await ReadAsync(cancellationToken);
            }

            var (record, bytes) = decode(_unread);
            _unread = _unread[bytes..];
            return record;
        }
        catch (InvalidDataException)
        {
            _unread = default;
            throw;
        }
        finally
        {
            _turn.Release();
        }
    }

    private async ValueTask<ReadOnlyMemory<byte>> ReadAsync(CancellationToken cancellationToken)
    {
        if (_reading is null && !(await file.PollAsync(Wait, cancellationToken)).HasFlag(PollEvents.In))
        {
            return default;
        }

        var reading = _reading ??= file.ReadAsync(buffer, CancellationToken.None).AsTask();
        await ((Task)reading).WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!reading.IsCompleted)
        {
            throw new OperationCanceledException(cancellationToken);
        }

        _reading = null;
        return buffer.AsMemory(0, (await reading).ThrowIfFailed().Count);
    }
}
