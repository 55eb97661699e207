using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

internal sealed partial class IoasGrain
{
    public ValueTask<PinReply> ChangeAsync(ObjectStamp stamp, IoasChange[] changes, PinFacts facts)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PinReply>();
        }

        var look = new PinLook(facts);
        var errno = ioas.Change(changes, out var diagnostic, look);
        return Reply(new PinReply(errno, 0, diagnostic, ioas.Size, look.Questions, ioas.TakePins(), look.Price));
    }

    public ValueTask<PagesReply> PinPagesAsync(ObjectStamp stamp, IoasAccessRequest request, uint pin, ExpectedMemory? expected, PinFacts facts)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PagesReply>();
        }

        var (slices, look) = (new List<PagesSlice>(), new PinLook(facts));
        var errno = ioas.PinPages(request, pin, expected, slices, look);
        return Reply(errno == Errno.EAGAIN
            ? new PagesReply(errno, [], null, look.Questions, Price: look.Price)
            : new PagesReply(errno, [.. slices], errno == Errno.None ? null : ioas.WhyNotPinned(errno, request, expected, facts), Pinned: ioas.TakePins()));
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

    public ValueTask<ObjectReply> PinnedBytesAsync(ObjectStamp stamp, PagesId pages, ulong startByte)
        => Enter(stamp) is { } ioas ? Answer(ioas, Errno.None, ioas.PinnedBytes(pages, startByte), null) : Lost<ObjectReply>();

    public ValueTask<PagesReply> AccessRwAsync(ObjectStamp stamp, IoasAccessRequest request, PinFacts facts)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PagesReply>();
        }

        var (slices, look) = (new List<PagesSlice>(), new PinLook(facts));
        var errno = ioas.AccessRw(request, slices, look);
        return Reply(errno == Errno.EAGAIN
            ? new PagesReply(errno, [], null, look.Questions)
            : new PagesReply(errno, [.. slices], errno == Errno.None ? null : ioas.WhyNotCopied(errno, request, facts)));
    }

    public ValueTask<TranslationReply> TranslateAsync(ObjectStamp stamp, DmaAccess access)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<TranslationReply>();
        }

        var slices = new List<PagesSlice>();
        var errno = ioas.Translate(access, slices, out var dirtied, out var failed);
        return Reply(errno == Errno.None
            ? new TranslationReply(errno, [.. slices], dirtied, 0, null)
            : new TranslationReply(errno, [], 0, ioas.StopOf(failed, access.Write), ioas.WhyNotTranslated(errno, failed, access.Write)));
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

    public ValueTask<PinnedReply> FindPinnedAsync(ObjectStamp stamp, IovaRange addresses, ExpectedMemory memory)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PinnedReply>();
        }

        var runs = new List<PinnedRun>();
        return Reply(ioas.TryFindPinned(addresses, memory, runs)
            ? new PinnedReply(Errno.None, [.. runs], null)
            : PinnedReply.Failed(Errno.ENOMEM, Failure.Because(DiagnosticReason.TooManyPinnedRuns, limit: (ulong)runs.Count)));
    }
}
