using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>Several ioctls that run in one turn of their context. Not thread-safe. Can be run several times.</summary>
/// <remarks>
/// A batch runs whole and is never split, since other requests could run between its parts. What it asks must fit instead: a batch is E2BIG,
/// and nothing of it runs, if it has more ioctls than <see cref="IoctlLimits.MaxBatch"/> or more bytes than
/// <see cref="IoctlLimits.MaxRequestBytes"/>, or if its answers could have more than the service permits, which is
/// <see cref="IoctlLimits.DefaultMaxAnswerBytes"/> unless it is configured otherwise. An answer's size follows from what is asked, not from
/// what there is: 16 bitmaps of 1 MiB are 16 MiB, however few pages are dirty. Long answers come in parts; what can be lost on the way is a
/// part, which is fetched again, and never what the ioctls have done.
/// </remarks>
public sealed class IoctlBatch
{
    private readonly IommuContext _context;
    private readonly List<Entry> _entries = [];

    internal IoctlBatch(IommuContext context) => _context = context;

    /// <summary>How many ioctls the batch has.</summary>
    public int Count => _entries.Count;

    /// <summary>Adds an ioctl whose argument is a struct without pointers.</summary>
    /// <typeparam name="T">The command's struct.</typeparam>
    /// <param name="command">The command.</param>
    /// <param name="argument">The argument. A size of 0 is replaced by the struct's size.</param>
    /// <returns>This batch.</returns>
    public IoctlBatch Add<T>(IommuCommand command, in T argument)
        where T : unmanaged
        => Add(new Entry((uint)command, IommuContext.Request(command, in argument), 0, null));

    /// <summary>Adds an ioctl whose argument lies in memory. The SDK reads the memory when the batch runs, before its first ioctl.</summary>
    /// <param name="command">The full ioctl number.</param>
    /// <param name="argument">The address of the argument.</param>
    /// <param name="memory">The memory. The SDK writes to it when the whole batch has run.</param>
    /// <returns>This batch.</returns>
    public IoctlBatch Add(uint command, ulong argument, ICallerMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        return Add(new Entry(command, null, argument, memory));
    }

    /// <summary>Adds an <c>IOMMU_IOAS_ALLOC</c>.</summary>
    /// <returns>This batch.</returns>
    public IoctlBatch AllocateIoas() => Add(IommuCommand.IoasAlloc, default(IommuIoasAlloc));

    /// <summary>Adds an <c>IOMMU_DESTROY</c>.</summary>
    /// <param name="id">The object.</param>
    /// <returns>This batch.</returns>
    public IoctlBatch Destroy(ObjectId id) => Add(IommuCommand.Destroy, new IommuDestroy { Id = id.Value });

    /// <summary>Runs the ioctls.</summary>
    /// <param name="stopAtFirstError">Whether to stop after the first ioctl that fails.</param>
    /// <param name="cancellationToken">Cancels the wait; the batch may still run.</param>
    /// <returns>One result for each ioctl that ran, in order.</returns>
    /// <exception cref="IommufdException">EBADF if the context is closed; E2BIG if the batch asks too much. No ioctl has run then.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async Task<IReadOnlyList<IoctlResult>> RunAsync(bool stopAtFirstError = false, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        IoctlRequest[] requests = [.. _entries.Select(entry => entry.ToRequest(_context.Memories))];
        var effects = _context.BeginEffects(requests);
        IoctlBatchReply batch;
        try
        {
            batch = await _context.SendBatchAsync(requests, stopAtFirstError, cancellationToken);
        }
        catch (Exception exception)
        {
            Array.ForEach(effects, effect => effect?.End(exception));
            throw;
        }

        try
        {
            return await CopyOutAsync(batch);
        }
        finally
        {
            // What the batch copies for its program lies in memory that a later ioctl of it may have unmapped. What did not run has changed nothing.
            for (var i = 0; i < effects.Length; i++)
            {
                if (i < batch.Replies.Length)
                {
                    effects[i]?.End(batch.Replies[i]);
                }
                else
                {
                    effects[i]?.Abandon();
                }
            }
        }
    }

    private async Task<IReadOnlyList<IoctlResult>> CopyOutAsync(IoctlBatchReply batch)
    {
        if (batch.Errno != Errno.None)
        {
            throw new IommufdException("batch", batch.Errno, batch.Diagnostic);
        }

        var results = new IoctlResult[batch.Replies.Length];
        for (var i = 0; i < results.Length; i++)
        {
            var entry = _entries[i];
            var reply = entry.Memory is { } memory ? IoctlMarshaller.CopyOut(batch.Replies[i], entry.Argument, memory) : batch.Replies[i];
            results[i] = IoctlResult.From(
                entry.Command, reply.File is null ? reply : await _context.InstallFileAsync(reply, entry.Argument, entry.Memory));
        }

        return results;
    }

    private IoctlBatch Add(Entry entry)
    {
        _entries.Add(entry);
        return this;
    }

    private readonly record struct Entry(uint Command, IoctlRequest? Request, ulong Argument, ICallerMemory? Memory)
    {
        public IoctlRequest ToRequest(CallerMemories memories) => Request ?? IoctlMarshaller.CopyIn(Command, Argument, Memory!, memories);
    }
}
