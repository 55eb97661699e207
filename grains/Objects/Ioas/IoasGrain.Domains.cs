using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

internal sealed partial class IoasGrain
{
    public ValueTask<ObjectReply> ChangeAsync(ObjectStamp stamp, IoasChange[] changes)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.Change(changes, out var diagnostic);
        return Answer(ioas, errno, 0, diagnostic);
    }

    public ValueTask<PagesReply> PinPagesAsync(ObjectStamp stamp, IoasAccessRequest request, uint pin, ExpectedMemory expected)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PagesReply>();
        }

        var slices = new List<PagesSlice>();
        var errno = ioas.PinPages(request, pin, expected, slices);
        return Reply(new PagesReply(errno, [.. slices], errno == Errno.None ? null : ioas.WhyNotPinned(errno, request, expected)));
    }

    public ValueTask<ObjectReply> UnpinPagesAsync(ObjectStamp stamp, ObjectId access, uint pin)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.UnpinPages(access, pin);
        return Answer(ioas, errno, 0, errno == Errno.None ? null : Failure.Because(DiagnosticReason.PinNotFound, pin, about: new ObjectRef(ObjectType.Access, access)));
    }

    public ValueTask<PagesReply> AccessRwAsync(ObjectStamp stamp, IoasAccessRequest request)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PagesReply>();
        }

        var slices = new List<PagesSlice>();
        var errno = ioas.AccessRw(request, slices);
        return Reply(new PagesReply(errno, [.. slices], errno == Errno.None ? null : ioas.WhyNotCopied(errno, request)));
    }

    public ValueTask<ObjectReply> SetDirtyTrackingAsync(ObjectStamp stamp, ObjectId hwpt, bool enable)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.SetDirtyTracking(hwpt, enable);
        return Answer(ioas, errno, 0, errno == Errno.None ? null : IoasDiagnostics.Dirty(ioas.Table, errno, new DirtyRange { Hwpt = hwpt }));
    }

    public ValueTask<DirtyBitmapReply> ReadDirtyAsync(ObjectStamp stamp, DirtyRange range, bool clear)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<DirtyBitmapReply>();
        }

        var pieces = new List<BitmapPiece>();
        var errno = ioas.ReadDirty(range, clear, pieces);
        return Reply(errno == Errno.None
            ? new DirtyBitmapReply(errno, [.. pieces], null)
            : DirtyBitmapReply.Failed(errno, IoasDiagnostics.Dirty(ioas.Table, errno, range)));
    }

    public ValueTask<ObjectReply> MarkDirtyAsync(ObjectStamp stamp, DirtyRange range, byte[] bitmap)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.MarkDirty(range, bitmap, out var count);
        return Answer(ioas, errno, count, errno switch
        {
            Errno.None => null,
            Errno.EFAULT => Failure.Because(DiagnosticReason.BufferFault, (ulong)bitmap.Length, (((range.Length / range.PageSize) - 1) / 8) + 1),
            _ => Failure.Because(DiagnosticReason.DirtyTrackingDisabled, about: new ObjectRef(ObjectType.HwptPaging, range.Hwpt)),
        });
    }

    public ValueTask<ObjectReply> CheckMapAsync(ObjectStamp stamp, ObjectId hwpt, ulong iova, ulong length, ExpectedMemory expected)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.CheckMap(hwpt, iova, length, expected);
        return Answer(ioas, errno, 0, errno == Errno.None ? null : ioas.WhyNotMapped(errno, hwpt, iova, length, expected));
    }

    public ValueTask<PinnedReply> FindPinnedAsync(ObjectStamp stamp, IovaRange addresses, FileMapping? mapping)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PinnedReply>();
        }

        var runs = new List<PinnedRun>();
        return Reply(ioas.TryFindPinned(addresses, mapping, runs)
            ? new PinnedReply(Errno.None, [.. runs], null)
            : PinnedReply.Failed(Errno.ENOMEM, Failure.Because(DiagnosticReason.TooManyPinnedRuns, limit: (ulong)runs.Count)));
    }
}
