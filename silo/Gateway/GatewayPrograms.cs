using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Gateway;

/// <summary>A program's address space, and those of its connections on which it can be asked.</summary>
internal sealed class GatewayProgram(long number)
{
    private readonly Lock _lock = new();
    private readonly List<CallsConnection> _connections = [];

    /// <summary>Its number for the service.</summary>
    public long Number => number;

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
    private readonly ConcurrentDictionary<(string Identity, ulong Program), GatewayProgram> _byName = new();
    private readonly ConcurrentDictionary<long, GatewayProgram> _byNumber = new();
    private readonly ConditionalWeakTable<GatewayProgram, MemorySource> _sources = [];
    private readonly GrainId _observer;
    private long _last;

    public GatewayPrograms(IGrainFactory grains) => _observer = grains.CreateObjectReference<IMemoryObserver>(this).GetGrainId();

    /// <summary>The program that a connection belongs to.</summary>
    public GatewayProgram Join(string identity, ulong name, CallsConnection connection)
    {
        lock (_byName)
        {
            var program = _byName.GetOrAdd((identity, name), _ => new GatewayProgram(Interlocked.Increment(ref _last)));
            _byNumber[program.Number] = program;
            program.Add(connection);
            return program;
        }
    }

    public void Leave(string identity, ulong name, CallsConnection connection)
    {
        lock (_byName)
        {
            if (_byName.TryGetValue((identity, name), out var program) && program.Remove(connection))
            {
                _byName.TryRemove((identity, name), out _);
                _byNumber.TryRemove(program.Number, out _);
            }
        }
    }

    /// <summary>Names a program's memory to the service.</summary>
    public MemorySource SourceOf(GatewayProgram program) => _sources.GetValue(program, known => new MemorySource(_observer, known.Number));

    /// <inheritdoc/>
    public async Task<MemoryAnswer> LookAsync(MemoryQuestion question)
        => (_byNumber.TryGetValue(question.Memory, out var program) ? await program.AskAsync(question.Pieces) : null) ?? new MemoryAnswer(IsKnown: false);
}
