using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Options;

namespace IommuFd.UnitTests.Dispatch;

public sealed class LimitTests
{
    private readonly OpenContext _context = new();

    [Fact]
    public async Task One_object_too_many_is_ENOMEM_and_changes_nothing_until_one_goes()
    {
        _context.Objects.MaxObjects = 2;
        await RunAsync(Errno.None, IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        await RunAsync(Errno.None, IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        var reply = await RunAsync(Errno.ENOMEM, IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        Expect.Equal((DiagnosticReason.TooManyObjects, 2UL), (reply.Diagnostic!.Reason, reply.Diagnostic.Limit), "the reason and the limit");
        Expect.Equal(2, _context.Objects.Count, "objects");

        await RunAsync(Errno.None, IommuCommand.Destroy, new IommuDestroy { Id = 1 });
        await RunAsync(Errno.None, IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        Expect.That(_context.Objects.Find(1) is not null, "The id that was given back is not used again.");
    }

    [Fact]
    public async Task One_area_too_many_in_all_IOASes_together_is_ENOMEM_until_one_goes()
    {
        _context.ObjectGrains.MaxAreas = 2;
        var (one, two) = (_context.Add(), _context.Add());
        await RunAsync(Errno.None, IommuCommand.IoasMap, Map(one, 0));
        await RunAsync(Errno.None, IommuCommand.IoasMap, Map(two, 0));
        Expect.Equal(2L, _context.ObjectGrains.Areas, "areas");
        var reply = await RunAsync(Errno.ENOMEM, IommuCommand.IoasMap, Map(two, 0x1000));
        Expect.Equal((DiagnosticReason.TooManyAreas, 2UL), (reply.Diagnostic!.Reason, reply.Diagnostic.Limit), "the reason and the limit");
        await RunAsync(Errno.ENOMEM, IommuCommand.IoasCopy, Copy(one, two));

        await RunAsync(Errno.None, IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = one.Id.Value, Iova = 0, Length = 0x1000 });
        Expect.Equal(1L, _context.ObjectGrains.Areas, "areas after one was unmapped");
        await RunAsync(Errno.None, IommuCommand.IoasMap, Map(two, 0x1000));
        await RunAsync(Errno.None, IommuCommand.Destroy, new IommuDestroy { Id = two.Id.Value });
        Expect.Equal(0L, _context.ObjectGrains.Areas, "areas after the IOAS that had them was destroyed");
    }

    [Fact]
    public async Task A_batch_maps_as_much_as_there_is_room_for()
    {
        _context.ObjectGrains.MaxAreas = 2;
        var ioas = _context.Add();
        var maps = Enumerable.Range(0, 3).Select(i => Request(IommuCommand.IoasMap, Map(ioas, (ulong)i * 0x1000))).ToArray();
        var reply = await ContextOperations.BatchAsync(Scope, new IoctlBatchRequest { Requests = maps });
        Expect.Sequence([Errno.None, Errno.None, Errno.ENOMEM], reply.Replies.Select(each => each.Errno), "the errnos of three maps");
    }

    [Fact]
    public async Task Allowed_ranges_count_as_areas()
    {
        _context.ObjectGrains.MaxAreas = 2;
        var ioas = _context.Add();
        await RunAsync(Errno.None, Allow(ioas, 2));
        Expect.Equal(2L, _context.ObjectGrains.Areas, "areas and ranges");
        await RunAsync(Errno.ENOMEM, Allow(_context.Add(), 1));
        await RunAsync(Errno.ENOMEM, IommuCommand.IoasMap, Map(ioas, 0));
        await RunAsync(Errno.None, Allow(ioas, 0));
        Expect.Equal(0L, _context.ObjectGrains.Areas, "areas and ranges after the list was emptied");
    }

    [Fact]
    public void One_reference_too_many_is_EMFILE()
    {
        var last = default(ReferenceReply)!;
        for (var i = 1; i < IoctlLimits.MaxReferences; i++)
        {
            last = _context.Model.Get(ReferenceKind.File, "file");
        }

        Expect.Equal(Errno.None, last.Errno, "the last reference that there is room for");
        var reply = _context.Model.Get(ReferenceKind.File, "one too many");
        Expect.Equal((Errno.EMFILE, DiagnosticReason.TooManyReferences), (reply.Errno, reply.Diagnostic!.Reason), "one reference too many");
        Expect.Equal(Errno.None, _context.Model.Put(last.Reference), "putting one");
        Expect.Equal(Errno.None, _context.Model.Get(ReferenceKind.File, "file").Errno, "one more, where one was put");
    }

    [Fact]
    public void One_context_too_many_of_an_opener_is_EMFILE_and_of_a_silo_ENFILE()
    {
        var quota = new ContextQuota(Options.Create(new ContextOptions { MaxContextsPerClient = 2, MaxContexts = 3 }));
        Expect.Sequence(
            [Errno.None, Errno.None, Errno.EMFILE, Errno.None, Errno.ENFILE],
            new long[] { 1, 1, 1, 2, 2 }.Select(client => quota.TryAdmit(client, 0, out _)),
            "two openers' contexts");
        quota.Leave(1);
        Expect.Equal(Errno.None, quota.TryAdmit(1, 0, out _), "one more of the first opener, where one is closed");
        quota.Leave(2);
        Expect.Sequence([Errno.None, Errno.ENFILE], new long[] { 0, 0 }.Select(client => quota.TryAdmit(client, 0, out _)), "contexts of nobody in particular");
    }

    [Fact]
    public void An_opener_may_have_a_lower_limit_and_no_higher_one()
    {
        var quota = new ContextQuota(Options.Create(new ContextOptions { MaxContextsPerClient = 2, MaxContexts = 10 }));
        Expect.Equal((Errno.None, 1), (quota.TryAdmit(1, 1, out var limit), limit), "the first of an opener who may have one");
        Expect.Equal((Errno.EMFILE, 1), (quota.TryAdmit(1, 1, out limit), limit), "the second");
        Expect.Sequence([Errno.None, Errno.None, Errno.EMFILE], new[] { 5, 5, 5 }.Select(most => quota.TryAdmit(2, most, out _)), "contexts of one who asks for five where two are permitted");
    }

    private IoctlScope Scope => new(_context.Model, _context.ObjectGrains);

    private static IommuIoasMap Map(ObjectEntry ioas, ulong iova) => new()
    {
        IoasId = ioas.Id.Value,
        Flags = (uint)(IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable),
        UserVa = 0x10000,
        Length = 0x1000,
        Iova = iova,
    };

    private static IommuIoasCopy Copy(ObjectEntry source, ObjectEntry destination) => new()
    {
        Flags = (uint)(IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable),
        SrcIoasId = source.Id.Value,
        DstIoasId = destination.Id.Value,
        Length = 0x1000,
        DstIova = 0x5000,
    };

    private static IoctlRequest Allow(ObjectEntry ioas, int count)
    {
        var ranges = Enumerable.Range(0, count).Select(i => new IommuIovaRange { Start = (ulong)i * 0x10000, Last = ((ulong)i * 0x10000) + 0xFFF }).ToArray();
        var content = MemoryMarshal.AsBytes(ranges.AsSpan()).ToArray();
        return Request(
            IommuCommand.IoasAllowIovas,
            new IommuIoasAllowIovas { IoasId = ioas.Id.Value, NumIovas = (uint)count, AllowedIovas = 0x1000 },
            new UserBuffer { Address = 0x1000, Length = (ulong)content.Length, ReadableBytes = (ulong)content.Length, Content = content });
    }

    private static IoctlRequest Request<T>(IommuCommand command, T argument, UserBuffer? buffer = null)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        BitConverter.TryWriteBytes(bytes, bytes.Length);
        return new IoctlRequest
        {
            Command = (uint)command,
            Argument = bytes,
            WritableBytes = (uint)bytes.Length,
            Buffers = [buffer ?? new UserBuffer { Length = 0x1000, ReadableBytes = 0x1000, WritableBytes = 0x1000 }],
        };
    }

    private ValueTask<IoctlReply> RunAsync<T>(Errno expected, IommuCommand command, T argument)
        where T : unmanaged
        => RunAsync(expected, Request(command, argument));

    private async ValueTask<IoctlReply> RunAsync(Errno expected, IoctlRequest request)
    {
        var reply = await IoctlDispatcher.DispatchAsync(Scope, request);
        Expect.Equal(expected, reply.Errno, $"{(IommuCommand)request.Command} ({reply.Diagnostic})");
        return reply;
    }
}
