using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// A context pins memory later than it maps it, and asks then whether the memory is there. So a client remembers the memories that raw ioctls
// were given, as long as the program has them: a memory that was collected can't be asked about, and counts as it was when it was mapped. What
// the SDK's typed methods map needs no asking: the SDK keeps it pinned while it is mapped.

/// <summary>The memories that a client's raw ioctls have named to the service.</summary>
internal sealed class CallerMemories : IMemoryObserver
{
    // Until there are as many, those that were collected are not looked for.
    private const int FewMemories = 64;

    private readonly Lazy<GrainId?> _observer;
    private readonly ConditionalWeakTable<ICallerMemory, MemorySource> _sources = [];
    private readonly Lock _lock = new();
    private readonly Dictionary<long, WeakReference<ICallerMemory>> _memories = [];
    private long _lastNumber;
    private int _pruneAt = FewMemories;

    public CallerMemories(IContextChannel channel) => _observer = new(() => channel.Observe(this));

    /// <summary>Names a memory to the service; null where the service can't ask this process.</summary>
    public MemorySource? SourceOf(ICallerMemory memory)
    {
        var named = memory is ArgumentMemory argument ? argument.Rest : memory;
        if (named is null or PinnedMappings || _observer.Value is not { } observer)
        {
            return null;
        }

        lock (_lock)
        {
            if (!_sources.TryGetValue(named, out var source))
            {
                _sources.Add(named, source = Add(observer, named));
            }

            return source;
        }
    }

    /// <inheritdoc/>
    public Task<MemoryAnswer> LookAsync(MemoryQuestion question)
    {
        ICallerMemory? memory = null;
        lock (_lock)
        {
            _memories.GetValueOrDefault(question.Memory)?.TryGetTarget(out memory);
        }

        return Task.FromResult(memory is null ? new MemoryAnswer(false) : Look(memory, question.Pieces));
    }

    /// <inheritdoc/>
    public Task<MemoryVerdict> ChargeAsync(MemoryCharge charge) => Task.FromResult(new MemoryVerdict(IsGranted: true));

    private static MemoryAnswer Look(ICallerMemory memory, MemoryPiece[] pieces)
    {
        for (var i = 0; i < pieces.Length; i++)
        {
            if (PresentBytes(memory, pieces[i]) is var present && present < pieces[i].Length)
            {
                return new MemoryAnswer(true, i, present);
            }
        }

        return new MemoryAnswer(true, pieces.Length);
    }

    private static ulong PresentBytes(ICallerMemory memory, MemoryPiece piece)
    {
        if (piece.File is null)
        {
            return PageBytes(memory, piece.Start, piece.Length, piece.Write ? MemoryAccess.ReadWrite : MemoryAccess.Read);
        }

        if (memory.LengthOf(piece.File) is not { } bytes)
        {
            return piece.WasPresent ? piece.Length : 0;
        }

        // A page that the file ends in can't be pinned.
        return bytes > piece.Start ? bytes - piece.Start : 0;
    }

    // Memory is there by whole pages, though a simulated one may begin and end inside a page: a page is there where any byte of it is.
    private static ulong PageBytes(ICallerMemory memory, ulong start, ulong length, MemoryAccess access)
    {
        const ulong PageMask = DmaMemory.PageSizeBytes - 1;
        for (var done = 0UL; done < length;)
        {
            var present = memory.Accessible(start + done, length - done, access);
            for (var at = done + 1; present == 0 && (at & PageMask) != 0; at++)
            {
                present = memory.Accessible(start + at, 1, access) > 0 ? at - done + memory.Accessible(start + at, length - at, access) : 0;
            }

            if (present == 0)
            {
                return done;
            }

            done = (done + present + PageMask) & ~PageMask;
        }

        return length;
    }

    private MemorySource Add(GrainId observer, ICallerMemory memory)
    {
        if (_memories.Count >= _pruneAt)
        {
            foreach (var (number, _) in _memories.Where(known => !known.Value.TryGetTarget(out _)).ToList())
            {
                _memories.Remove(number);
            }

            _pruneAt = Math.Max(FewMemories, _memories.Count * 2);
        }

        _memories.Add(++_lastNumber, new WeakReference<ICallerMemory>(memory));
        return new MemorySource(observer, _lastNumber);
    }
}
