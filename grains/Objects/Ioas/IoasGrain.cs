using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using Orleans.Placement;

namespace IommuFd.Grains.Objects.Ioas;

// Each call is a step of the model; a failing one is explained from the model's state, which it has not changed. This file has the
// mappings, .Domains.cs what devices, page tables and accesses ask.

/// <inheritdoc cref="IIoasGrain"/>
[KeepAlive]
[PreferLocalPlacement]
internal sealed partial class IoasGrain(ObjectHost? host) : ObjectGrain<IoasModel>(host), IIoasGrain
{
    public ValueTask<ObjectReply> HugePagesAsync(ObjectStamp stamp, IommuOptionOp op, ulong value)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.HugePages(op, ref value);
        return Answer(ioas, errno, value, errno == Errno.None ? null : IoasDiagnostics.Option(ioas, errno));
    }

    public ValueTask<PinReply> MapAsync(ObjectStamp stamp, IoasMapRequest request, PinFacts facts)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PinReply>();
        }

        var look = LookFor(request, facts);
        return Reply(PinReply.Of(Map(ioas, request, look), ioas.TakePins()) with { Price = look?.Price });
    }

    public ValueTask<PinReply> MapFileAsync(ObjectStamp stamp, IoasMapRequest request, UserFile? file, PinFacts facts)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PinReply>();
        }

        var (iova, look) = (request.Iova, LookFor(request, facts));
        if (file is { DmaBuf: not null })
        {
            var mapped = ioas.MapDmaBuf(request.Flags, file, request.Address, request.Length, ref iova);
            return Reply(new PinReply(mapped, iova, mapped == Errno.None ? null : IoasDiagnostics.MapDmaBuf(ioas.Table, mapped, request, file), ioas.Size, null, ioas.TakePins()));
        }

        var pinnable = file is { IsMemfd: true } && file.LengthBytes > request.Address ? file.LengthBytes - request.Address : 0;
        var errno = ioas.MapFile(
            request.Flags, file is null ? null : new MappedFile(file.Identity), request.Address, request.Length, pinnable, ref iova, new PagesOrigin(request.Source, null, request.Account), look);
        var diagnostic = errno is Errno.None or Errno.EAGAIN ? null : IoasDiagnostics.Map(ioas.Table, errno, request, isFile: true);
        return Reply(new PinReply(errno, iova, diagnostic, ioas.Size, null, ioas.TakePins(), look?.Price));
    }

    public ValueTask<ObjectReply> RevokeAsync(ObjectStamp stamp, string identity)
        => Enter(stamp) is { } ioas ? Answer(ioas, Errno.None, (ulong)ioas.Table.Revoke(identity), null) : Lost<ObjectReply>();

    public ValueTask<PinReply> UnmapAsync(ObjectStamp stamp, ulong iova, ulong length)
        => Enter(stamp) is { } ioas ? Reply(PinReply.Of(Unmap(ioas, iova, length), ioas.TakePins())) : Lost<PinReply>();

    public ValueTask<ObjectReply> UnmapCompatAsync(ObjectStamp stamp, ulong iova, ulong length, bool all)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.UnmapCompat(iova, length, all, out var unmapped);
        return Answer(ioas, errno, unmapped, errno == Errno.None ? null : IoasDiagnostics.NotUnmapped(ioas.Table, errno, iova, length));
    }

    public ValueTask<PagesReply> GetPagesAsync(ObjectStamp stamp, ulong iova, ulong length)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PagesReply>();
        }

        var slices = new List<PagesSlice>();
        var errno = ioas.GetPages(iova, length, slices);
        return Reply(errno == Errno.None
            ? new PagesReply(errno, [.. slices], null, Pinned: ioas.TakePins())
            : PagesReply.Failed(errno, IoasDiagnostics.NotMapped(ioas.Table, errno, iova, length)));
    }

    public ValueTask<PinReply> MapPagesAsync(ObjectStamp stamp, IommuIoasMapFlags flags, PagesSlice[] slices, ulong iova, PinFacts facts)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<PinReply>();
        }

        var (mapped, look) = (iova, new PinLook(facts));
        var errno = ioas.MapPages(flags, slices, ref mapped, look);
        var diagnostic = errno is Errno.None or Errno.EAGAIN ? null : IoasDiagnostics.Map(ioas.Table, errno, flags, iova, slices, look.Unpinnable?.Slice);
        return Reply(new PinReply(errno, mapped, diagnostic, ioas.Size, look.Questions, ioas.TakePins(), look.Price));
    }

    public ValueTask<IovaRangesReply> IovaRangesAsync(ObjectStamp stamp, uint room, ulong writableBytes)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<IovaRangesReply>();
        }

        var ranges = new List<IommuIovaRange>();
        var errno = ioas.IovaRanges(room, writableBytes, ranges, out var count, out var alignment);
        var bytes = MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(ranges)).ToArray();
        return Reply(new IovaRangesReply(errno, count, alignment, bytes, IoasDiagnostics.IovaRanges(errno, room, count, writableBytes)) { PageSizes = ioas.Table.DomainPageSizes });
    }

    public ValueTask<ObjectReply> AllowIovasAsync(ObjectStamp stamp, uint count, byte[] content)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.AllowIovas(count, content);
        return Answer(ioas, errno, 0, errno == Errno.None ? null : IoasDiagnostics.AllowIovas(ioas.Table, errno, count, content));
    }

    public ValueTask<ObjectReply> AddReservedAsync(ObjectStamp stamp, IovaRange range)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.AddReserved(range);
        return Answer(ioas, errno, 0, errno == Errno.None ? null : IoasDiagnostics.Reserve(ioas.Table, range));
    }

    public ValueTask<ObjectReply> CheckChangeProcessAsync(ObjectStamp stamp)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        var errno = ioas.CheckChangeProcess();
        return Answer(
            ioas, errno, 0, errno == Errno.None ? null : Failure.Because(DiagnosticReason.MapsProcessMemory, overlap: ioas.Table.Areas.First(area => !area.Pages.IsFile).Range));
    }

    public ValueTask<ObjectReply> ChangeProcessAsync(ObjectStamp stamp, MemorySource? source)
    {
        if (Enter(stamp) is not { } ioas)
        {
            return Lost<ObjectReply>();
        }

        ioas.Table.ChangeSource(source);
        return Answer(ioas, Errno.None, 0, null);
    }

    protected override IoasModel Build(ObjectStamp stamp) => new(stamp.Serial);

    protected override ObjectSnapshot Snapshot(IoasModel model) => model.Save();

    protected override IoasModel Restore(ObjectStamp stamp, ObjectSnapshot snapshot) => IoasModel.Restore(stamp.Serial, SnapshotFormat.Expect<IoasSnapshot>(snapshot));

    protected override int SizeOf(IoasModel model) => model.Size;

    protected override PinTally? TakePins(IoasModel model) => model.TakePins();

    protected override long? Holders(IoasModel model, ObjectId part) => model.Holders(part);

    protected override void RemovePart(IoasModel model, ObjectId part) => model.RemovePart(part);

    protected override ObjectState? Inspect(IoasModel model, StatePage page)
        => page.Part == default ? IoasInspector.Show(model, page) : IoasInspector.ShowPart(model, page.Part);

    // Most memory has no limit, and nothing is to be charged.
    private static PinLook? LookFor(in IoasMapRequest request, PinFacts facts) => request.Account == PinAccount.None ? null : new PinLook(facts, isFresh: true);

    private static ObjectReply Map(IoasModel ioas, IoasMapRequest request, PinLook? look = null)
    {
        var iova = request.Iova;
        var errno = ioas.Map(
            request.Flags, request.Address, request.Length, request.ReadableBytes, request.WritableBytes, ref iova, new PagesOrigin(request.Source, request.Mapping, request.Account), look);
        return new ObjectReply(errno, iova, errno is Errno.None or Errno.EAGAIN ? null : IoasDiagnostics.Map(ioas.Table, errno, request, isFile: false), ioas.Size);
    }

    private static ObjectReply Unmap(IoasModel ioas, ulong iova, ulong length)
    {
        var unmapped = length;
        var errno = ioas.Unmap(iova, ref unmapped);
        return new ObjectReply(errno, unmapped, errno == Errno.None ? null : IoasDiagnostics.NotUnmapped(ioas.Table, errno, iova, length), ioas.Size);
    }

    private ValueTask<ObjectReply> Answer(IoasModel ioas, Errno errno, ulong value, IoctlDiagnostic? diagnostic)
        => Reply(new ObjectReply(errno, value, diagnostic, ioas.Size, ioas.TakePins()));
}
