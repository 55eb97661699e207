using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.FaultQueues;

// The groups of page faults that were reported and not answered: first they wait to be read; then each has a cookie, the lowest free number from 1 on, until
// its response is written, or until its device leaves the page table. The response to a group that its device awaits is kept until the device takes it or leaves.
//
// Always: all groups and the responses that are kept together are at most IoctlLimits.MaxQueued. A cookie is taken exactly while its group is unanswered.

/// <summary>A fault queue.</summary>
internal sealed class FaultQueueModel : EventQueueModel
{
    private static readonly int RecordBytes = Unsafe.SizeOf<IommuHwptPgfault>();
    private static readonly int ResponseBytes = Unsafe.SizeOf<IommuHwptPageResponse>();
    private static readonly int CookieOffset = (int)Marshal.OffsetOf<IommuHwptPgfault>(nameof(IommuHwptPgfault.Cookie));

    private readonly LinkedList<FaultGroup> _waiting = [];
    private readonly SortedDictionary<uint, FaultGroup> _unanswered = [];
    private readonly IdAllocator _cookies = new();
    private readonly AwaitedResponses _awaited = new();
    private int _faults;

    /// <summary>Groups that were not read yet.</summary>
    public int Waiting => _waiting.Count;

    /// <summary>Groups that were read and got no response yet.</summary>
    public int Unanswered => _unanswered.Count;

    public override bool IsReadable => _waiting.Count > 0;

    public override PollEvents AlwaysReady => PollEvents.Out;

    protected override int NextBytes => _waiting.First?.Value.Records.Length ?? 0;

    /// <summary>Adds a group; false where the queue has as many page faults as it can.</summary>
    public bool TryReport(FaultGroup group)
    {
        var faults = group.Records.Length / RecordBytes;
        if (_faults + faults + _awaited.Kept > IoctlLimits.MaxQueued)
        {
            return false;
        }

        _waiting.AddLast(group);
        _faults += faults;
        _awaited.Expect(group);
        return true;
    }

    /// <summary>Removes the groups of an attachment, which are answered as invalid.</summary>
    /// <returns>How many there were.</returns>
    public int Discard(ObjectId device, uint pasid)
    {
        bool IsOf(FaultGroup group) => group.Device == device && group.Pasid == pasid;

        var discarded = 0;
        for (var node = _waiting.First; node is not null;)
        {
            var (group, next) = (node, node.Next);
            if (IsOf(group.Value))
            {
                _waiting.Remove(group);
                Forget(group.Value);
                discarded++;
            }

            node = next;
        }

        foreach (var cookie in _unanswered.Where(pair => IsOf(pair.Value)).Select(pair => pair.Key).ToList())
        {
            Remove(cookie);
            discarded++;
        }

        _awaited.Forget(device, pasid);
        return discarded;
    }

    /// <summary>Takes the response to a group that a device awaits.</summary>
    /// <param name="device">The device.</param>
    /// <param name="group">The group's number, by the device's own counting.</param>
    /// <param name="code">The response.</param>
    /// <returns>EAGAIN where there is none yet, ENOENT where no such group is awaited.</returns>
    public Errno TakeResponse(ObjectId device, uint group, out IommuPageResponseCode code) => _awaited.Take(device, group, out code);

    /// <summary>Saves the queue.</summary>
    public FaultQueueSnapshot Save()
    {
        var cookies = new ColumnWriter();
        foreach (var cookie in _unanswered.Keys)
        {
            cookies.Add(cookie);
        }

        return new FaultQueueSnapshot
        {
            IsClosed = !IsOpen,
            Waiting = Waiting == 0 ? null : [.. _waiting],
            Cookies = cookies.ToColumn(),
            Unanswered = Unanswered == 0 ? null : [.. _unanswered.Values],
            Responses = _awaited.Save(),
        };
    }

    /// <summary>Restores a queue.</summary>
    /// <exception cref="System.IO.InvalidDataException">The snapshot makes no sense.</exception>
    public static FaultQueueModel Restore(FaultQueueSnapshot snapshot)
    {
        var model = new FaultQueueModel { IsOpen = !snapshot.IsClosed };
        var cookies = snapshot.Cookies.Read();
        foreach (var group in snapshot.Unanswered ?? [])
        {
            var cookie = cookies.Next<uint>();
            SnapshotFormat.Require(cookie is > 0 and <= IdAllocator.Max && model._cookies.TryTake(cookie), "Two groups of page faults have one cookie.");
            model._unanswered.Add(cookie, Check(group));
            model._faults += group.Records.Length / RecordBytes;
            model._awaited.Expect(group);
        }

        cookies.End();
        foreach (var group in snapshot.Waiting ?? [])
        {
            SnapshotFormat.Require(model.TryReport(Check(group)), "A fault queue has too many page faults.");
        }

        model._awaited.Restore(snapshot.Responses);
        SnapshotFormat.Require(model._faults + model._awaited.Kept <= IoctlLimits.MaxQueued, "A fault queue has too many page faults.");
        return model;
    }

    protected override QueueReply? CheckRead(ulong count) => CheckMultiple(count, RecordBytes);

    protected override byte[] Take()
    {
        var group = _waiting.First!.Value;
        _waiting.RemoveFirst();
        if (!_cookies.TryAllocate(out var cookie))
        {
            throw new InvalidOperationException("There are more cookies than page faults.");
        }

        _unanswered.Add(cookie, group);
        byte[] records = [.. group.Records];
        for (var record = 0; record < records.Length; record += RecordBytes)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(records.AsSpan(record + CookieOffset), cookie);
        }

        return records;
    }

    // Responses are taken in order up to the first that can't be; those before it count.
    protected override QueueReply Write(WriteFileRequest request)
    {
        if (CheckMultiple(request.Count, ResponseBytes) is { } failure)
        {
            return failure;
        }

        var readable = request.Content.AsSpan(0, (int)Math.Min(Math.Min((ulong)request.Content.Length, request.Count), IoctlLimits.MaxBufferBytes));
        for (var done = 0; (ulong)done < request.Count; done += ResponseBytes)
        {
            var refusal = done + ResponseBytes <= readable.Length
                ? Respond(MemoryMarshal.Read<IommuHwptPageResponse>(readable[done..]))
                : QueueReply.Failed(Errno.EFAULT, Failure.Because(DiagnosticReason.BufferFault, (ulong)readable.Length, request.Count));
            if (refusal is { } refused)
            {
                return done == 0 ? refused : QueueReply.OfWrite(done);
            }
        }

        return QueueReply.OfWrite((int)request.Count);
    }

    private QueueReply? Respond(IommuHwptPageResponse response)
    {
        if (response.Code > (uint)IommuPageResponseCode.Invalid)
        {
            return QueueReply.Failed(Errno.EINVAL, Failure.Because(DiagnosticReason.InvalidResponseCode, response.Code));
        }

        if (!_unanswered.ContainsKey(response.Cookie))
        {
            return QueueReply.Failed(Errno.EINVAL, Failure.Because(DiagnosticReason.CookieNotFound, response.Cookie));
        }

        _awaited.Answer(Remove(response.Cookie), (IommuPageResponseCode)response.Code);
        return null;
    }

    private FaultGroup Remove(uint cookie)
    {
        _unanswered.Remove(cookie, out var group);
        _cookies.Free(cookie);
        Forget(group!);
        return group!;
    }

    private void Forget(FaultGroup group) => _faults -= group.Records.Length / RecordBytes;

    private static QueueReply? CheckMultiple(ulong count, int bytes)
        => count % (ulong)bytes == 0 ? null : QueueReply.Failed(Errno.ESPIPE, Failure.Because(DiagnosticReason.PartialRecord, count, (ulong)bytes));

    private static FaultGroup Check(FaultGroup? group)
    {
        SnapshotFormat.Require(group?.Records is { Length: > 0 } records && records.Length % RecordBytes == 0, "A group of page faults has a part of one.");
        return group!;
    }
}

/// <summary>A saved fault queue.</summary>
[GenerateSerializer, Immutable, OmitDefaultMemberValues, SuppressReferenceTracking, Alias("IommuFd.FaultQueueSnapshot")]
internal sealed record FaultQueueSnapshot : ObjectSnapshot
{
    /// <summary>Whether its file is closed.</summary>
    [Id(0)]
    public bool IsClosed { get; init; }

    /// <summary>The groups that were not read, in order; null for none.</summary>
    [Id(1)]
    public FaultGroup[]? Waiting { get; init; }

    /// <summary>The cookies of those that were read and not answered, ascending: a column.</summary>
    [Id(2)]
    public DeltaColumn Cookies { get; init; }

    /// <summary>Those groups; null for none.</summary>
    [Id(3)]
    public FaultGroup[]? Unanswered { get; init; }

    /// <summary>The responses that devices have not taken; null for none.</summary>
    [Id(4)]
    public FaultResponse[]? Responses { get; init; }

    public override bool IsFirstState => !IsClosed && Waiting is null && Unanswered is null && Responses is null;
}
