using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.IoPagetable;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

// How large answers can be. That no answer is larger than what was expected of its ioctl, OpenContext checks for all that tests run.

public sealed class AnswerLimitTests
{
    private const int MiB = 1 << 20;

    public static TheoryData<string, IoctlRequest, long> Bounds => new()
    {
        { "a map of 2^40 bytes", Request(IommuCommand.IoasMap, new IommuIoasMap { Length = 1UL << 40 }), 0 },
        { "a bitmap of 2^20 pages", Bitmap(1UL << 32), (1 << 17) + WireSize.Flat },
        { "a bitmap of 2^23 pages", Bitmap(1UL << 35), MiB + WireSize.Flat },
        { "a bitmap of 2^52 pages", Bitmap(ulong.MaxValue), MiB + WireSize.Flat },
        { "3 ranges", Request(IommuCommand.IoasIovaRanges, new IommuIoasIovaRanges { NumIovas = 3 }), 48 + WireSize.Flat },
        { "2^32 ranges", Request(IommuCommand.IoasIovaRanges, new IommuIoasIovaRanges { NumIovas = uint.MaxValue }), MiB + WireSize.Flat },
        { "information of 100 bytes", Request(IommuCommand.GetHwInfo, new IommuHwInfo { DataLen = 100 }), 100 + WireSize.Flat },
        { "a command that is none", new IoctlRequest { Command = 0x1234, Argument = new byte[8] }, 0 },
        { "an argument that ends early", new IoctlRequest { Command = (uint)IommuCommand.HwptGetDirtyBitmap, Argument = new byte[8] }, WireSize.Flat },
        { "no argument", new IoctlRequest { Command = (uint)IommuCommand.HwptGetDirtyBitmap, Argument = null! }, -WireSize.Flat },
    };

    [Theory]
    [MemberData(nameof(Bounds))]
    public void An_answer_is_bounded_by_the_buffers_that_its_argument_names(string what, IoctlRequest request, long buffers)
        => Expect.Equal(
            Math.Max(WireSize.Flat, WireSize.Flat + (request.Argument?.Length ?? 0) + buffers), WireSize.MostAnswered([request]), $"the most that is answered to {what}");

    [Fact]
    public void Bytes_that_no_buffer_came_for_count_too()
        => Expect.Equal(120L * (MiB + (2 * WireSize.Flat) + Bitmap(1).Argument.Length), WireSize.MostAnswered([.. Enumerable.Repeat(Bitmap(1UL << 40), 120)]), "the most that 120 bitmaps are");

    [Fact]
    public void A_file_s_name_counts_as_bytes_of_a_request()
    {
        var plain = Request(IommuCommand.IoasMapFile, default(IommuIoasMapFile));
        var named = new IoctlRequest { Command = plain.Command, Argument = plain.Argument, File = new UserFile(new string('f', 1000), IsMemfd: true, 0) };
        Expect.Equal(3000L, WireSize.Of(named) - WireSize.Of(plain), "the bytes of the file's name");
    }

    [Fact]
    public void A_file_whose_identity_is_too_long_is_E2BIG()
    {
        var context = new OpenContext();
        var map = Request(IommuCommand.IoasMapFile, new IommuIoasMapFile { IoasId = context.AllocateIoas(), Length = 4096, Flags = (uint)IoasFixture.ReadWrite });
        var failure = context.Run(Named(IoctlLimits.MaxIdentityLength + 1)).Fails(Errno.E2BIG, DiagnosticReason.RequestTooLarge, "a file with a long identity");
        Expect.Equal((ulong)IoctlLimits.MaxIdentityLength, failure.Limit, "the limit");
        Expect.Equal(Errno.None, context.Run(Named(IoctlLimits.MaxIdentityLength)).Errno, "a file whose identity is as long as may be");

        IoctlRequest Named(int length)
            => new() { Command = map.Command, Argument = map.Argument, WritableBytes = map.WritableBytes, File = new UserFile(new string('f', length), IsMemfd: true, 4096) };
    }

    [Fact]
    public void More_areas_than_a_message_carries_can_t_be_copied_at_once()
    {
        var (source, destination) = (new IoasModel(), new IoasModel());
        for (ulong i = 0; i <= IoptTable.MaxCopyAreas; i++)
        {
            Expect.Equal(Errno.None, source.MapAt(i * IoasFixture.Page), "mapping");
        }

        Expect.Equal(Errno.ENOMEM, source.Copy(0, (IoptTable.MaxCopyAreas + 1) * IoasFixture.Page, destination, 0), "copying one area too many");
        Expect.Equal(0, destination.Table.AreaCount, "areas that were copied");
        Expect.Equal(Errno.None, source.Copy(0, IoptTable.MaxCopyAreas * IoasFixture.Page, destination, 0), "copying as many as may be");
        Expect.Equal(IoptTable.MaxCopyAreas, destination.Table.AreaCount, "areas that were copied");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(MiB / 3)]
    [InlineData(MiB)]
    public void The_parts_of_an_answer_put_together_are_the_answer(int bytes)
    {
        var whole = new IoctlBatchReply { Replies = [.. Enumerable.Range(0, 20).Select(i => new IoctlReply { ReturnValue = i, Argument = new byte[bytes] })] };
        var request = new IoctlBatchRequest { TakesParts = true };
        var part = BatchParts.First(request, whole);
        Expect.Equal(BatchParts.IsLong(whole), part.Missing > 0, "whether the answer is in parts");
        List<IoctlReply> replies = [.. part.Replies];
        while (part.Missing > 0)
        {
            Expect.Equal(20, replies.Count + part.Missing, "the replies so far and those that are missing");
            part = BatchParts.From(whole, replies.Count);
            Expect.That(part.Replies.Length > 0, $"A part behind {replies.Count} replies is empty.");
            Expect.That(WireSize.Of(part) <= 3 * MiB, $"A part has {WireSize.Of(part)} bytes.");
            replies.AddRange(part.Replies);
        }

        Expect.Sequence(whole.Replies, replies, "the replies of all parts");
        Expect.Sequence(whole.Replies, BatchParts.First(new IoctlBatchRequest(), whole).Replies, "the answer to a caller that takes no parts");
    }

    [Fact]
    public async Task A_batch_counts_all_holders_and_lists_as_many_as_a_page_has()
    {
        var context = new OpenContext();
        var held = context.Add();
        var driver = context.Driver();
        for (var i = 0; i < IoctlLimits.MaxListed; i++)
        {
            context.Hold(driver, held.Id);
        }

        var destroy = Request(IommuCommand.Destroy, new IommuDestroy { Id = held.Id.Value });
        var reply = await ContextOperations.BatchAsync(
            new IoctlScope(context.Model, context.ObjectGrains), new IoctlBatchRequest { Requests = [.. Enumerable.Repeat(destroy, IoctlLimits.MaxListed + 2)] });

        Expect.That(reply.Replies.All(each => each.Errno == Errno.EBUSY && each.Diagnostic is { HolderCount: IoctlLimits.MaxListed, ObjectId: var id } && id == held.Id), "A reply differs.");
        Expect.Sequence(
            [.. Enumerable.Repeat(IoctlLimits.MaxListed, IoctlLimits.MaxListed), 0, 0], reply.Replies.Select(each => each.Diagnostic!.Holders.Length), "listed holders");
    }

    [Fact]
    public void More_ranges_than_a_reply_carries_are_ENOMEM_unless_the_array_is_smaller()
    {
        var ioas = new IoasModel();
        for (ulong i = 0; i < IoasModel.MaxRanges; i++)
        {
            Expect.Equal(Errno.None, ioas.Reserve((2 * i) + 1, (2 * i) + 1), "reserving");
        }

        List<IommuIovaRange> ranges = [];
        Expect.Equal(Errno.ENOMEM, ioas.IovaRanges(IoasModel.MaxRanges + 1, ulong.MaxValue, ranges, out var count, out _), "all of them");
        Expect.Equal((0, (uint)IoasModel.MaxRanges + 1), (ranges.Count, count), "ranges that are answered, and their number");
        Expect.Equal(Errno.EMSGSIZE, ioas.IovaRanges(IoasModel.MaxRanges, ulong.MaxValue, ranges, out count, out _), "as many as a reply carries");
        Expect.Equal((IoasModel.MaxRanges, (uint)IoasModel.MaxRanges + 1), (ranges.Count, count), "ranges that are answered, and their number");
    }

    private static IoctlRequest Bitmap(ulong length) => Request(IommuCommand.HwptGetDirtyBitmap, new IommuHwptGetDirtyBitmap { Length = length, PageSize = 4096 });

    private static IoctlRequest Request<T>(IommuCommand command, T argument)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        BitConverter.TryWriteBytes(bytes, bytes.Length);
        return new IoctlRequest { Command = (uint)command, Argument = bytes, WritableBytes = (uint)bytes.Length };
    }
}
