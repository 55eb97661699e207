using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Veventqs;

// Events are numbered as they are reported, lost ones too. A header without data stands at the end of the queue while the latest event is a lost one; it goes
// when a further event finds room, whose number then shows the gap.

/// <summary>A vIOMMU's event queue.</summary>
/// <param name="depth">Events that it holds at most.</param>
internal sealed class VeventqModel(uint depth) : EventQueueModel
{
    private static readonly int HeaderBytes = Unsafe.SizeOf<IommufdVeventHeader>();

    private readonly Queue<QueuedEvent> _events = [];
    private uint _next;
    private uint? _lostAt;

    /// <summary>Events to read.</summary>
    public int Waiting => _events.Count;

    /// <summary>Events that were lost.</summary>
    public long Lost { get; private set; }

    public override bool IsReadable => _events.Count > 0 || _lostAt is not null;

    protected override int NextBytes => _events.TryPeek(out var next) ? HeaderBytes + next.Data.Length : _lostAt is null ? 0 : HeaderBytes;

    /// <summary>Adds an event, or counts it as lost; ENOMEM where the queue has less room than its depth says.</summary>
    public Errno Report(byte[] data)
    {
        var sequence = _next;
        _next = (_next + 1) & int.MaxValue;
        if (_events.Count < Math.Min(depth, IoctlLimits.MaxQueued))
        {
            _lostAt = null;
            _events.Enqueue(new QueuedEvent(sequence, data));
            return Errno.None;
        }

        _lostAt = sequence;
        Lost++;
        return _events.Count < depth ? Errno.ENOMEM : Errno.None;
    }

    /// <summary>Saves the queue.</summary>
    public VeventqSnapshot Save() => new()
    {
        Depth = depth,
        IsClosed = !IsOpen,
        Next = _next,
        LostAt = _lostAt,
        Lost = Lost,
        Events = Waiting == 0 ? null : [.. _events],
    };

    /// <summary>Restores a queue.</summary>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static VeventqModel Restore(VeventqSnapshot snapshot)
    {
        SnapshotFormat.Require(
            snapshot.Depth > 0 && snapshot.Next <= int.MaxValue && (snapshot.LostAt ?? 0) <= int.MaxValue && snapshot.Lost >= 0
                && (snapshot.Events?.Length ?? 0) <= Math.Min(snapshot.Depth, IoctlLimits.MaxQueued),
            "An event queue has more events than room, or a number that no event has.");
        var model = new VeventqModel(snapshot.Depth) { IsOpen = !snapshot.IsClosed, _next = snapshot.Next, _lostAt = snapshot.LostAt, Lost = snapshot.Lost };
        foreach (var saved in snapshot.Events ?? [])
        {
            SnapshotFormat.Require(saved?.Data is not null && saved.Sequence <= int.MaxValue, "An event has no data, or a number that none has.");
            model._events.Enqueue(saved!);
        }

        return model;
    }

    protected override byte[] Take()
    {
        if (_events.TryDequeue(out var next))
        {
            return [.. UapiStruct.ToBytes(new IommufdVeventHeader { Sequence = next.Sequence }), .. next.Data];
        }

        var header = new IommufdVeventHeader { Flags = (uint)IommuVeventqFlags.LostEvents, Sequence = _lostAt!.Value };
        _lostAt = null;
        return UapiStruct.ToBytes(in header);
    }
}

/// <summary>An event to read.</summary>
/// <param name="Sequence">Its number.</param>
/// <param name="Data">The event.</param>
[GenerateSerializer, Immutable, SuppressReferenceTracking, Alias("IommuFd.QueuedEvent")]
internal sealed record QueuedEvent([property: Id(0)] uint Sequence, [property: Id(1)] byte[] Data);

/// <summary>A saved event queue.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.VeventqSnapshot")]
internal sealed record VeventqSnapshot : ObjectSnapshot
{
    [Id(0)]
    public uint Depth { get; init; }

    /// <summary>Whether its file is closed.</summary>
    [Id(1)]
    public bool IsClosed { get; init; }

    /// <summary>The number that the next event gets.</summary>
    [Id(2)]
    public uint Next { get; init; }

    /// <summary>The number of the latest event, where that was lost.</summary>
    [Id(3)]
    public uint? LostAt { get; init; }

    /// <summary>Events that were lost.</summary>
    [Id(4)]
    public long Lost { get; init; }

    /// <summary>The events to read, in order; null for none.</summary>
    [Id(5)]
    public QueuedEvent[]? Events { get; init; }

    public override bool IsFirstState => !IsClosed && Next == 0 && Lost == 0;
}
