using Microsoft.Win32.SafeHandles;

namespace IommuFd.Devices.Nvme;

/// <summary>The blocks of a namespace.</summary>
public interface INvmeNamespace : IDisposable
{
    /// <summary>Bytes of a block.</summary>
    const int BlockBytes = 512;

    /// <summary>How many blocks there are.</summary>
    ulong Blocks { get; }

    /// <summary>Reads bytes.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="destination">The buffer for them, which ends within the namespace.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    /// <returns>Completes when they are read.</returns>
    /// <exception cref="IOException">They can't be read.</exception>
    ValueTask ReadAsync(ulong offset, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>Writes bytes.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="source">The bytes, which end within the namespace.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    /// <returns>Completes when they are written.</returns>
    /// <exception cref="IOException">They can't be written.</exception>
    ValueTask WriteAsync(ulong offset, ReadOnlyMemory<byte> source, CancellationToken cancellationToken);

    /// <summary>Writes zeros.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="length">How many.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    /// <returns>Completes when they are written.</returns>
    /// <exception cref="IOException">They can't be written.</exception>
    ValueTask ZeroAsync(ulong offset, ulong length, CancellationToken cancellationToken);

    /// <summary>Puts what was written where it survives.</summary>
    /// <param name="cancellationToken">Gives it up.</param>
    /// <returns>Completes when it is there.</returns>
    /// <exception cref="IOException">It can't be put there.</exception>
    ValueTask FlushAsync(CancellationToken cancellationToken);
}

/// <summary>A namespace in memory, which takes room only where it was written.</summary>
/// <param name="blocks">How many blocks it has.</param>
public sealed class MemoryNamespace(ulong blocks) : INvmeNamespace
{
    private const int ChunkBytes = 64 * 1024;

    private readonly Dictionary<ulong, byte[]> _chunks = [];

    /// <inheritdoc/>
    public ulong Blocks => blocks;

    /// <inheritdoc/>
    public ValueTask ReadAsync(ulong offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        ForEachChunk(offset, (ulong)destination.Length, (chunk, start, done, length) =>
        {
            var bytes = destination.Span.Slice((int)done, length);
            if (_chunks.TryGetValue(chunk, out var content))
            {
                content.AsSpan(start, length).CopyTo(bytes);
            }
            else
            {
                bytes.Clear();
            }
        });
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(ulong offset, ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        ForEachChunk(offset, (ulong)source.Length, (chunk, start, done, length) =>
        {
            if (!_chunks.TryGetValue(chunk, out var content))
            {
                _chunks.Add(chunk, content = new byte[ChunkBytes]);
            }

            source.Span.Slice((int)done, length).CopyTo(content.AsSpan(start));
        });
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask ZeroAsync(ulong offset, ulong length, CancellationToken cancellationToken)
    {
        ForEachChunk(offset, length, (chunk, start, _, part) =>
        {
            if (part == ChunkBytes)
            {
                _chunks.Remove(chunk);
            }
            else if (_chunks.TryGetValue(chunk, out var content))
            {
                content.AsSpan(start, part).Clear();
            }
        });
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken) => ValueTask.CompletedTask;

    /// <inheritdoc/>
    public void Dispose() => _chunks.Clear();

    private static void ForEachChunk(ulong offset, ulong length, Action<ulong, int, ulong, int> run)
    {
        for (ulong done = 0; done < length;)
        {
            var start = (int)((offset + done) % ChunkBytes);
            var part = (int)Math.Min(length - done, (ulong)(ChunkBytes - start));
            run((offset + done) / ChunkBytes, start, done, part);
            done += (ulong)part;
        }
    }
}

/// <summary>A namespace in a file.</summary>
public sealed class FileNamespace : INvmeNamespace
{
    private static readonly byte[] Zeros = new byte[64 * 1024];

    private readonly SafeFileHandle _file;

    /// <summary>Opens a file, or makes one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="blocks">How many blocks a new file has; one that is there keeps its length.</param>
    /// <exception cref="IOException">The file can't be opened, or its length is no whole number of blocks.</exception>
    public FileNamespace(string path, ulong blocks = 0)
    {
        _file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, FileOptions.Asynchronous);
        var length = RandomAccess.GetLength(_file);
        if (length == 0 && blocks > 0)
        {
            length = checked((long)blocks * INvmeNamespace.BlockBytes);
            RandomAccess.SetLength(_file, length);
        }

        if (length == 0 || length % INvmeNamespace.BlockBytes != 0)
        {
            _file.Dispose();
            throw new IOException($"{path} has {length:N0} bytes, which are no blocks of {INvmeNamespace.BlockBytes} bytes.");
        }

        Blocks = (ulong)length / INvmeNamespace.BlockBytes;
    }

    /// <inheritdoc/>
    public ulong Blocks { get; }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(ulong offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        for (var done = 0; done < destination.Length;)
        {
            var count = await RandomAccess.ReadAsync(_file, destination[done..], (long)offset + done, cancellationToken);
            done += count > 0 ? count : throw new EndOfStreamException("The file has become shorter than the namespace.");
        }
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(ulong offset, ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
        => RandomAccess.WriteAsync(_file, source, (long)offset, cancellationToken);

    /// <inheritdoc/>
    public async ValueTask ZeroAsync(ulong offset, ulong length, CancellationToken cancellationToken)
    {
        for (ulong done = 0; done < length; done += (ulong)Zeros.Length)
        {
            await RandomAccess.WriteAsync(_file, Zeros.AsMemory(0, (int)Math.Min(length - done, (ulong)Zeros.Length)), (long)(offset + done), cancellationToken);
        }
    }

    /// <inheritdoc/>
    public async ValueTask FlushAsync(CancellationToken cancellationToken) => await Task.Run(() => RandomAccess.FlushToDisk(_file), cancellationToken);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
