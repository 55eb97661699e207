using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// What an ioctl does to the books of pinned memory, from before it is sent until its outcome is known. Typed methods, raw ioctls and batches all come through here, so that the
// books are right whichever way a program takes, and whatever comes of it:
//
// * success: what was mapped or copied is noted; what was unmapped, or destroyed with its IOAS, is dropped;
// * an UNMAP that fails at an area: the areas before that one are unmapped, so they are dropped;
// * any other errno: nothing has changed;
// * no answer, or a wait that was cancelled: what may be mapped stays pinned, at its IOVA if that is known, else until its IOAS goes or is unmapped altogether.
//
// Requests overlap. An UNMAP drops only what was noted before it was sent: what was noted since may have been mapped after it. A COPY keeps its source pinned while it is under way.

/// <summary>What one ioctl does to the books of pinned memory. Ends once.</summary>
internal sealed class PinEffect
{
    private readonly PinnedMappings _books;
    private readonly IoctlRequest _request;
    private readonly long _before;
    private readonly MemoryPin? _pin;
    private readonly List<PinnedPiece> _source = [];
    private bool _isEnded;

    /// <summary>Begins an ioctl that is about to be sent.</summary>
    /// <param name="books">The books.</param>
    /// <param name="request">The ioctl.</param>
    /// <param name="before">The number of the last mapping that was noted.</param>
    /// <param name="pin">The memory that it maps, which belongs to the effect from now on; null for none of the SDK's own.</param>
    public PinEffect(PinnedMappings books, IoctlRequest request, long before, MemoryPin? pin)
    {
        (_books, _request, _before, _pin) = (books, request, before, pin);
        if (Command == IommuCommand.IoasCopy)
        {
            var cmd = Read<IommuIoasCopy>();
            _source = books.Share(new ObjectId(cmd.SrcIoasId), cmd.SrcIova, cmd.Length);
        }
    }

    private IommuCommand Command => (IommuCommand)_request.Command;

    /// <summary>The ioctl was answered.</summary>
    public void End(IoctlReply reply)
    {
        _isEnded = true;
        switch (Command)
        {
            case IommuCommand.IoasMap when reply.Errno == Errno.None:
                var map = Read<IommuIoasMap>();
                _books.Add(new ObjectId(map.IoasId), RangeOf(UapiStruct.Read<IommuIoasMap>(reply.Argument).Iova, map.Length), _pin!, _before);
                return;

            case IommuCommand.IoasCopy when reply.Errno == Errno.None:
                AddCopies(UapiStruct.Read<IommuIoasCopy>(reply.Argument).DstIova);
                return;

            case IommuCommand.IoasUnmap:
                EndUnmap(reply);
                return;

            case IommuCommand.Destroy when reply.Errno == Errno.None:
                _books.RemoveAll(new ObjectId(Read<IommuDestroy>().Id), _before);
                return;
        }

        Drop();
    }

    /// <summary>The ioctl was not answered.</summary>
    /// <param name="failure">Why.</param>
    /// <param name="wasSent">Whether it was sent at all.</param>
    public void End(Exception failure, bool wasSent = true)
    {
        _isEnded = true;
        if (!wasSent || failure is IommufdTransportException { Outcome: TransportOutcome.NotRun })
        {
            Drop();
        }
        else if (Command == IommuCommand.IoasMap)
        {
            var cmd = Read<IommuIoasMap>();
            IovaRange? range = IsFixed(cmd.Flags) ? RangeOf(cmd.Iova, cmd.Length) : null;
            _books.AddUncertain(new ObjectId(cmd.IoasId), range, _pin!);
        }
        else if (Command == IommuCommand.IoasCopy)
        {
            var cmd = Read<IommuIoasCopy>();
            foreach (var (range, pin) in _source)
            {
                _books.AddUncertain(new ObjectId(cmd.DstIoasId), IsFixed(cmd.Flags) ? Moved(range, cmd.SrcIova, cmd.DstIova) : null, pin);
            }
        }
    }

    /// <summary>Gives up what the ioctl keeps, unless it has ended: it was never sent.</summary>
    public void Abandon()
    {
        if (!_isEnded)
        {
            _isEnded = true;
            Drop();
        }
    }

    private static bool IsFixed(uint flags) => ((IommuIoasMapFlags)flags).HasFlag(IommuIoasMapFlags.FixedIova);

    private static IovaRange RangeOf(ulong iova, ulong length) => new(iova, iova + (length - 1));

    private static IovaRange Moved(IovaRange range, ulong from, ulong to) => new(range.Start - from + to, range.Last - from + to);

    // What was mapped while the copy was under way can be a part of its source too.
    private void AddCopies(ulong destination)
    {
        var cmd = Read<IommuIoasCopy>();
        foreach (var piece in _books.Share(new ObjectId(cmd.SrcIoasId), cmd.SrcIova, cmd.Length))
        {
            if (_source.Contains(piece))
            {
                piece.Pin.Drop();
            }
            else
            {
                _source.Add(piece);
            }
        }

        _books.Remove(new ObjectId(cmd.DstIoasId), RangeOf(destination, cmd.Length), _before);
        foreach (var (range, pin) in _source)
        {
            _books.AddUncertain(new ObjectId(cmd.DstIoasId), Moved(range, cmd.SrcIova, destination), pin);
        }
    }

    private void EndUnmap(IoctlReply reply)
    {
        var cmd = Read<IommuIoasUnmap>();
        var ioas = new ObjectId(cmd.IoasId);
        if (cmd is { Iova: 0, Length: ulong.MaxValue } && reply.Errno == Errno.None)
        {
            _books.RemoveAll(ioas, _before);
        }
        else if (reply.Errno == Errno.None)
        {
            _books.Remove(ioas, RangeOf(cmd.Iova, cmd.Length), _before);
        }
        else if (reply.Diagnostic is { Reason: DiagnosticReason.AreaReachesOut or DiagnosticReason.AreaLocked, Overlap: { } stop } && stop.Start > cmd.Iova)
        {
            _books.Remove(ioas, new IovaRange(cmd.Iova, stop.Start - 1), _before);
        }
    }

    private void Drop()
    {
        _pin?.Drop();
        _source.ForEach(piece => piece.Pin.Drop());
    }

    private T Read<T>()
        where T : unmanaged
        => UapiStruct.Read<T>(_request.Argument);
}
