using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Gateway.Programs;

/// <summary>A program's address space, and those of its connections on which it can be asked.</summary>
internal sealed class GatewayProgram(GrainId observer, long number, int process) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<CallsConnection> _connections = [];
    private readonly ProcessLife? _life = process == 0 ? null : new ProcessLife(process);
    private readonly MemorySource _source = new(observer, number);
    private ulong _lockLimit;

    public long Number => number;

    /// <summary>The process that has its memory; 0 if it is on another machine.</summary>
    public int Process => process;

    /// <summary>Its user, who has what it locks; -1 on another machine.</summary>
    public int User { get; } = ProcessStatus.Of(process)?.User ?? -1;

    /// <summary>Its RLIMIT_MEMLOCK in bytes; of one that has ended, what it was last.</summary>
    public ulong LockLimit => _lockLimit = IsGone ? _lockLimit : ProcessStatus.LockLimitOf(process) ?? _lockLimit;

    /// <summary>Whether the service knows its memory, and may ask for it from now on.</summary>
    public bool IsNamed { get; private set; }

    /// <summary>Its memory's name for the service.</summary>
    public MemorySource Name()
    {
        IsNamed = true;
        return _source;
    }

    /// <summary>Whether its process has ended, and its memory with it. Of another machine's that is not known.</summary>
    public bool IsGone => _life is { IsOver: true };

    /// <summary>Whether memory is this program's.</summary>
    public bool Is(MemorySource source) => source == _source;

    /// <summary>Its memory, where that is on this machine and the process is still the one that connected.</summary>
    public ProcessMemory? Memory => process == 0 || IsGone ? null : new ProcessMemory(process);

    /// <summary>It is not looked for any more.</summary>
    public void Dispose() => _life?.Dispose();

    public void Add(CallsConnection connection)
    {
        lock (_lock)
        {
            _connections.Add(connection);
        }
    }

    /// <summary>Takes a connection away. Returns whether it was the last.</summary>
    public bool Remove(CallsConnection connection)
    {
        lock (_lock)
        {
            _connections.Remove(connection);
            return _connections.Count == 0;
        }
    }

    /// <summary>Asks one of its threads that waits for an answer whether memory is there; null if none does.</summary>
    public async Task<MemoryAnswer?> AskAsync(MemoryPiece[] pieces)
    {
        CallsConnection[] connections;
        lock (_lock)
        {
            connections = [.. _connections];
        }

        foreach (var connection in connections)
        {
            if (connection.TryAsk(pieces) is { } asked)
            {
                return await asked;
            }
        }

        return null;
    }
}

/// <summary>The programs that are connected. The service asks them whether memory is there when it pins what they have mapped.</summary>
internal sealed class GatewayPrograms : IMemoryObserver
{
    private const int FewPrograms = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<(string Identity, ulong Program), GatewayProgram> _byName = [];

    // Those with connections, and those that have none but have mapped memory and may not have ended.
    private readonly Dictionary<long, GatewayProgram> _byNumber = [];
    private readonly GrainId _observer;
    private long _lastNumber;
    private int _pruneAt = FewPrograms;

    public GatewayPrograms(IGrainFactory grains, LockedMemory locked)
    {
        Locked = locked;
        _observer = grains.CreateObjectReference<IMemoryObserver>(this).GetGrainId();
    }

    /// <summary>What the programs have locked.</summary>
    public LockedMemory Locked { get; }

    /// <summary>The program that a connection belongs to.</summary>
    public GatewayProgram Join(GatewayPeer peer, ulong name, CallsConnection connection)
    {
        lock (_lock)
        {
            if (!_byName.TryGetValue((peer.Identity, name), out var program))
            {
                Prune();
                _lastNumber++;
                program = new GatewayProgram(_observer, _lastNumber, peer.Process);
                _byName.Add((peer.Identity, name), program);
                _byNumber.Add(_lastNumber, program);
            }

            program.Add(connection);
            return program;
        }
    }

    /// <summary>A connection of a program has ended.</summary>
    public void Leave(string identity, ulong name, GatewayProgram program, CallsConnection connection)
    {
        lock (_lock)
        {
            if (program.Remove(connection))
            {
                _byName.Remove((identity, name));
                if (!program.IsNamed)
                {
                    _byNumber.Remove(program.Number);
                    program.Dispose();
                }
            }
        }
    }

    /// <summary>The memory that a process has now, as the service knows it; none if it has mapped none.</summary>
    public HashSet<MemorySource> MemoriesOf(int process)
    {
        lock (_lock)
        {
            return [.. _byName.Values.Where(program => program.Process == process && program.IsNamed && process != 0).Select(program => program.Name())];
        }
    }

    /// <inheritdoc/>
    public async Task<MemoryAnswer> LookAsync(MemoryQuestion question)
    {
        GatewayProgram? program;
        lock (_lock)
        {
            program = _byNumber.GetValueOrDefault(question.Memory);
        }

        // One that has ended has no memory, and then nothing of it can be pinned, as in Linux.
        return program is null || program.IsGone
            ? new MemoryAnswer(IsKnown: question.Memory <= Volatile.Read(ref _lastNumber))
            : await program.AskAsync(question.Pieces) ?? program.Memory?.Look(question.Pieces) ?? new MemoryAnswer(IsKnown: false);
    }

    /// <inheritdoc/>
    public Task<MemoryVerdict> ChargeAsync(MemoryCharge charge)
    {
        GatewayProgram? program;
        lock (_lock)
        {
            program = _byNumber.GetValueOrDefault(charge.Memory);
        }

        return Task.FromResult(Locked.Charge(charge, program));
    }

    /// <summary>Whether a copy is in memory of another program than the one that asks for it.</summary>
    public static bool IsElsewhere(UserCopy copy, GatewayProgram asking) => Array.Exists(copy.Memory, piece => piece.Source is { } source && !asking.Is(source));

    /// <summary>Makes a copy between programs, which neither of them can make.</summary>
    /// <returns>Whether all of it was copied: not where a program has ended, or may not be looked into.</returns>
    public bool Copy(UserCopy copy, GatewayProgram asking)
    {
        var at = copy.Buffer;
        foreach (var piece in copy.Memory)
        {
            if (asking.Memory is not { } buffer || MemoryOf(piece, asking) is not var (memory, address)
                || !(copy.IsWrite ? ProcessMemory.Copy(buffer, at, memory, address, piece.Length) : ProcessMemory.Copy(memory, address, buffer, at, piece.Length)))
            {
                return false;
            }

            at += piece.Length;
        }

        return true;
    }

    /// <summary>Where a piece of memory is that a device reaches; null where no program has it any more.</summary>
    public (ProcessMemory Memory, ulong Address)? Find(UserMemoryPiece piece)
    {
        GatewayProgram? mapping;
        lock (_lock)
        {
            mapping = piece.Source is { } source && source.Observer == _observer ? _byNumber.GetValueOrDefault(source.Number) : null;
        }

        if (piece.File is null && mapping?.Memory is { } memory)
        {
            return (memory, piece.Address);
        }

        GatewayProgram[] all;
        lock (_lock)
        {
            all = [.. _byNumber.Values];
        }

        // The pages of a file, which any program may have mapped.
        var shared = piece.File is { } file ? new FileMapping(file, piece.Address, piece.Length) : piece.Mapping;
        foreach (var program in all)
        {
            if (shared is not null && program.Memory is { } own && own.Find(shared) is { } address)
            {
                return (own, address);
            }
        }

        return null;
    }

    /// <summary>The bytes that a copy copies; null where they can't be read.</summary>
    public byte[]? Content(UserCopy copy, GatewayProgram asking)
    {
        var bytes = new byte[copy.Memory.Aggregate(0UL, (sum, piece) => sum + piece.Length)];
        if (copy.IsWrite)
        {
            return asking.Memory?.Read(copy.Buffer, bytes) == bytes.Length ? bytes : null;
        }

        var done = 0;
        foreach (var piece in copy.Memory)
        {
            var part = bytes.AsSpan(done, (int)piece.Length);
            var place = piece.File is { } file && asking.Memory is { } own && own.Find(new FileMapping(file, piece.Address, piece.Length)) is { } mapped ? (own, mapped) : MemoryOf(piece, asking);
            if (place is not var (memory, address) || memory.Read(address, part) < part.Length)
            {
                return null;
            }

            done += part.Length;
        }

        return bytes;
    }

    // Of a program that has ended, the pages of files are left: another program that maps them has them too.
    private (ProcessMemory Memory, ulong Address)? MemoryOf(UserMemoryPiece piece, GatewayProgram asking)
    {
        GatewayProgram? mapping;
        lock (_lock)
        {
            mapping = piece.Source is { } source && source.Observer == _observer ? _byNumber.GetValueOrDefault(source.Number) : asking;
        }

        return piece.File is not null ? null
            : mapping?.Memory is { } memory ? (memory, piece.Address)
            : piece.Mapping is { } shared && asking.Memory is { } own && own.Find(shared) is { } address ? (own, address)
            : null;
    }

    private void Prune()
    {
        if (_byNumber.Count < _pruneAt)
        {
            return;
        }

        var connected = _byName.Values.ToHashSet();
        foreach (var (number, program) in _byNumber.Where(known => !connected.Contains(known.Value) && known.Value.IsGone).ToList())
        {
            _byNumber.Remove(number);
            program.Dispose();
        }

        _pruneAt = Math.Max(FewPrograms, _byNumber.Count * 2);
    }
}
