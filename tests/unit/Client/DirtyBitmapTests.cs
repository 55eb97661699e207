using CsCheck;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

public sealed class DirtyBitmapTests
{
    private const ulong Page = 4096;
    private static readonly ObjectId Hwpt = new(7);

    [Fact]
    public void Dirty_pages_that_touch_are_one_run()
    {
        var bitmap = new DirtyBitmap(Pages(100, 40), Page);
        bitmap.Add(bitmap.Range, 0, [0b1000_0110, 0b0000_0001, 0, 0, 0b1000_0000]);
        Expect.Sequence([Pages(101, 2), Pages(107, 2), Pages(139, 1)], bitmap.DirtyRanges, "the runs of pages 101, 102, 107, 108 and 139");
        Expect.Equal(5UL, bitmap.DirtyPages, "dirty pages");
    }

    [Fact]
    public void Runs_are_joined_over_the_pieces_and_the_parts_that_they_come_in()
    {
        var bitmap = new DirtyBitmap(Pages(0, 32), Page);
        bitmap.Add(Pages(0, 16), 0, [0b1000_0000]);
        bitmap.Add(Pages(0, 16), 1, [0xFF]);
        bitmap.Add(Pages(16, 16), 0, [0b0000_0001]);
        Expect.Sequence([Pages(7, 10)], bitmap.DirtyRanges, "the run over two pieces and two parts");
    }

    [Theory]
    [InlineData(100UL, false)]
    [InlineData(101UL, true)]
    [InlineData(102UL, true)]
    [InlineData(103UL, false)]
    [InlineData(139UL, true)]
    [InlineData(140UL, false)]
    public void A_page_is_dirty_from_its_first_byte_to_its_last(ulong page, bool dirty)
    {
        var bitmap = new DirtyBitmap(Pages(100, 40), Page);
        bitmap.Add(bitmap.Range, 0, [0b0000_0110, 0, 0, 0, 0b1000_0000]);
        foreach (var iova in (ulong[])[page * Page, (page * Page) + 1, (page * Page) + Page - 1])
        {
            Expect.Equal(dirty, bitmap.IsDirty(new Iova(iova)), $"whether 0x{iova:X} is dirty");
        }
    }

    [Fact]
    public void The_last_page_of_all_is_dirty_to_the_last_IOVA()
    {
        var last = new IovaRange(ulong.MaxValue - Page + 1, ulong.MaxValue);
        var bitmap = new DirtyBitmap(last, Page);
        bitmap.Add(last, 0, [1]);
        Expect.Sequence([last], bitmap.DirtyRanges, "the run");
        Expect.Equal((true, false), (bitmap.IsDirty(new Iova(ulong.MaxValue)), bitmap.IsDirty(default)), "whether the last and the first IOVA are dirty");
    }

    [Fact]
    public async Task A_bitmap_that_fits_one_reply_is_asked_for_once()
    {
        var grain = new FakeContextGrain();
        var context = await new IommufdClient(grain.Channel).OpenAsync();
        IommuHwptGetDirtyBitmap asked = default;
        grain.Ioctl = request =>
        {
            asked = UapiStruct.Read<IommuHwptGetDirtyBitmap>(request.Argument);
            return new IoctlReply { Buffers = [new UserBufferWrite(2, [0b1000_0001]) { IsOr = true }] };
        };

        var bitmap = await context.GetDirtyBitmapAsync(Hwpt, Pages(16, 64), Page, clear: false);

        Expect.Equal(
            (7U, (uint)IommuHwptGetDirtyBitmapFlags.NoClear, 16 * Page, 64 * Page, Page), (asked.HwptId, asked.Flags, asked.Iova, asked.Length, asked.PageSize),
            "HWPT, flags, IOVA, length and page size that were asked for");
        Expect.Sequence([Pages(32, 1), Pages(39, 1)], bitmap.DirtyRanges, "the runs");
        Expect.Equal(1, grain.Calls.OfType<IoctlRequest>().Count(), "ioctls");
    }

    [Fact]
    public async Task A_page_of_which_the_bits_are_too_many_is_ENOMEM()
    {
        var grain = new FakeContextGrain { Ioctl = _ => new IoctlReply { Errno = Errno.ENOMEM } };
        var context = await new IommufdClient(grain.Channel).OpenAsync();
        var refused = await Assert.ThrowsAsync<IommufdException>(() => context.GetDirtyBitmapAsync(Hwpt, Pages(16, 1), 2048).AsTask());
        Expect.Equal(("IOMMU_HWPT_GET_DIRTY_BITMAP", Errno.ENOMEM), (refused.Operation, refused.Errno), "what is thrown for a page that can't be halved");
        Expect.Equal(1, grain.Calls.OfType<IoctlRequest>().Count(), "ioctls");
    }

    [Fact]
    public async Task Another_errno_is_not_asked_about_again()
    {
        var grain = new FakeContextGrain { Ioctl = _ => new IoctlReply { Errno = Errno.EINVAL } };
        var context = await new IommufdClient(grain.Channel).OpenAsync();
        var refused = await Assert.ThrowsAsync<IommufdException>(() => context.GetDirtyBitmapAsync(Hwpt, Pages(16, 64), Page).AsTask());
        Expect.Equal((Errno.EINVAL, 1), (refused.Errno, grain.Calls.OfType<IoctlRequest>().Count()), "errno and ioctls");
    }

    [Fact]
    public async Task Where_the_bits_are_more_than_a_reply_carries_each_page_is_read_once_and_in_order()
    {
        var sizes = Gen.OneOf(2048UL, 4096UL, 8192UL);
        await Gen.Select(Gen.Int[0, 50], Gen.Int[1, 200], sizes, Gen.Int[8, 64], Gen.Bool.Array[200]).SampleAsync(
            async (first, count, pageSize, room, dirty) =>
            {
                // No part of less than a page of the machine can be asked for.
                var pages = (ulong)count * (pageSize < Page ? Page / pageSize : 1);
                var range = new IovaRange((ulong)first * 8192, ((ulong)first * 8192) + (pages * pageSize) - 1);
                bool IsDirty(ulong iova) => dirty[(iova - range.Start) / pageSize % 200];
                var grain = new FakeContextGrain();
                var context = await new IommufdClient(grain.Channel).OpenAsync();
                var next = range.Start;
                grain.Ioctl = request =>
                {
                    var cmd = UapiStruct.Read<IommuHwptGetDirtyBitmap>(request.Argument);
                    Expect.Equal(next, cmd.Iova, "where a part starts");
                    Expect.Equal(0UL, cmd.Length % Math.Max(Page, pageSize), "what the length of a part is beyond whole pages");
                    if (cmd.Length / pageSize > (ulong)room)
                    {
                        return new IoctlReply { Errno = Errno.ENOMEM };
                    }

                    next += cmd.Length;
                    var bits = new byte[((cmd.Length / pageSize) + 7) / 8];
                    for (ulong page = 0; page < cmd.Length / pageSize; page++)
                    {
                        bits[page / 8] |= (byte)(IsDirty(cmd.Iova + (page * pageSize)) ? 1 << (int)(page % 8) : 0);
                    }

                    return new IoctlReply { Buffers = [new UserBufferWrite(0, bits)] };
                };

                var bitmap = await context.GetDirtyBitmapAsync(Hwpt, range, pageSize);

                Expect.Equal(range.Last + 1, next, "where the last part ends");
                ulong total = 0;
                for (var iova = range.Start; iova <= range.Last; iova += pageSize)
                {
                    Expect.Equal(IsDirty(iova), bitmap.IsDirty(new Iova(iova)), $"whether 0x{iova:X} of {range} is dirty");
                    total += IsDirty(iova) ? 1UL : 0;
                }

                Expect.Equal(total, bitmap.DirtyPages, $"dirty pages of {range}");
                for (var i = 1; i < bitmap.DirtyRanges.Count; i++)
                {
                    Expect.That(bitmap.DirtyRanges[i - 1].Last + 1 < bitmap.DirtyRanges[i].Start, $"The runs {i - 1} and {i} of {range} are not apart.");
                }
            },
            iter: 300,
            threads: 1);
    }

    private static IovaRange Pages(ulong first, ulong count) => new(first * Page, ((first + count) * Page) - 1);
}
