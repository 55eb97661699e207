using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Uapi;

// Which pointers of an argument the caller's side follows, and how far.

public sealed class UserBufferTests
{
    private static readonly Dictionary<string, string[]> Expected = new()
    {
        ["IOMMU_IOAS_ALLOW_IOVAS"] = ["allowed_iovas@16 In"],
        ["IOMMU_IOAS_IOVA_RANGES"] = ["allowed_iovas@16 Out"],
        ["IOMMU_IOAS_MAP"] = ["user_va@16 Probe"],
        ["IOMMU_HWPT_ALLOC"] = ["data_uptr@32 In"],
        ["IOMMU_GET_HW_INFO"] = ["data_uptr@16 Out"],
        ["IOMMU_HWPT_GET_DIRTY_BITMAP"] = ["data@40 Probe"],
        ["IOMMU_HWPT_INVALIDATE"] = ["data_uptr@8 In"],
        ["IOMMU_VIOMMU_ALLOC"] = ["data_uptr@32 InOut"],
        ["IOMMU_TEST_CMD"] =
            ["MdCheckMap.uptr@32 Probe", "MdCheckRefs.uptr@24 Probe", "AccessPages.uptr@40 Probe", "AccessRw.uptr@32 Probe", "Dirty.uptr@48 In"],
    };

    public static TheoryData<IommuCommand> Commands => [.. Enum.GetValues<IommuCommand>()];

    [Theory]
    [MemberData(nameof(Commands))]
    public void A_command_names_the_pointers_of_the_kernels_header(IommuCommand command)
    {
        var descriptor = IoctlTable.Get(command);
        Expect.Sequence(
            Expected.GetValueOrDefault(descriptor.Name, []),
            descriptor.Buffers.Select(buffer => $"{buffer.PointerField}@{buffer.PointerOffset} {buffer.Access}"),
            $"the buffers of {descriptor}");
    }

    [Fact]
    public void A_pointer_field_of_a_struct_stands_where_the_descriptor_says()
    {
        foreach (var descriptor in IoctlTable.All.Where(descriptor => descriptor.Command != IommuCommand.TestCmd))
        {
            foreach (var buffer in descriptor.Buffers)
            {
                var field = descriptor.Fields.Single(field => field.Name == buffer.PointerField);
                Expect.Equal((field.Offset, field.Size), (buffer.PointerOffset, 8), $"offset and bytes of {descriptor.Name}.{buffer.PointerField}");
            }
        }
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 16)]
    [InlineData(3, 48)]
    [InlineData(uint.MaxValue, 68_719_476_720)]
    public void A_list_of_iova_ranges_has_16_bytes_a_range(uint ranges, ulong bytes)
    {
        Expect.Equal(bytes, LengthOf(IommuCommand.IoasAllowIovas, new IommuIoasAllowIovas { NumIovas = ranges }), $"bytes of {ranges} ranges to allow");
        Expect.Equal(bytes, LengthOf(IommuCommand.IoasIovaRanges, new IommuIoasIovaRanges { NumIovas = ranges }), $"bytes of room for {ranges} ranges");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4096)]
    [InlineData(ulong.MaxValue)]
    public void Memory_to_map_is_as_long_as_it_says(ulong length)
        => Expect.Equal(length, LengthOf(IommuCommand.IoasMap, new IommuIoasMap { Length = length }), "bytes of the memory to map");

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(uint.MaxValue)]
    public void Type_specific_data_is_as_long_as_data_len_says(uint length)
    {
        Expect.Equal(length, LengthOf(IommuCommand.HwptAlloc, new IommuHwptAlloc { DataLen = length }), "data of IOMMU_HWPT_ALLOC");
        Expect.Equal(length, LengthOf(IommuCommand.GetHwInfo, new IommuHwInfo { DataLen = length }), "data of IOMMU_GET_HW_INFO");
        Expect.Equal(length, LengthOf(IommuCommand.ViommuAlloc, new IommuViommuAlloc { DataLen = length }), "data of IOMMU_VIOMMU_ALLOC");
    }

    [Theory]
    [InlineData(0, 7, 0)]
    [InlineData(7, 0, 0)]
    [InlineData(8, 3, 24)]
    [InlineData(uint.MaxValue, uint.MaxValue, 0xFFFF_FFFE_0000_0001)]
    public void Invalidation_requests_are_entries_of_one_length(uint entryLength, uint entries, ulong bytes)
        => Expect.Equal(
            bytes,
            LengthOf(IommuCommand.HwptInvalidate, new IommuHwptInvalidate { EntryLen = entryLength, EntryNum = entries }),
            $"bytes of {entries} entries of {entryLength}");

    // The last rows overflow in 64 bits if the sums are not made in more.
    [Theory]
    [InlineData(0, 4096, 0)]
    [InlineData(4096, 0, 0)]
    [InlineData(1, 4096, 8)]
    [InlineData(4096 * 64, 4096, 8)]
    [InlineData((4096 * 64) + 1, 4096, 16)]
    [InlineData(4096 * 65, 4096, 16)]
    [InlineData(128, 1, 16)]
    [InlineData(ulong.MaxValue, 1, 1UL << 61)]
    [InlineData(ulong.MaxValue, ulong.MaxValue, 8)]
    [InlineData(ulong.MaxValue, 1UL << 63, 8)]
    public void A_dirty_bitmap_has_one_bit_a_page_in_whole_64_bit_words(ulong length, ulong pageSize, ulong bytes)
    {
        Expect.Equal(
            bytes,
            LengthOf(IommuCommand.HwptGetDirtyBitmap, new IommuHwptGetDirtyBitmap { Length = length, PageSize = pageSize }),
            $"bytes of the bitmap of {length} bytes by {pageSize}");
    }

    [Theory]
    [InlineData(0, 4096, 0)]
    [InlineData(4096, 0, 0)]
    [InlineData(4096, 4096, 1)]
    [InlineData(4096 * 8, 4096, 1)]
    [InlineData(4096 * 9, 4096, 2)]
    [InlineData(ulong.MaxValue, 1, 1UL << 61)]
    [InlineData(ulong.MaxValue, ulong.MaxValue, 1)]
    public void The_selftests_dirty_bits_are_read_by_whole_bytes(ulong length, ulong pageSize, ulong bytes)
        => Expect.Equal(bytes, TestLengths(13, [0, 0, length, pageSize])[4], $"bytes of the bitmap of DIRTY for {length} bytes by {pageSize}");

    [Fact]
    public void Of_the_test_commands_buffers_only_the_one_of_its_op_has_a_length()
    {
        ulong[] words = [0x100, 0x200, 0x300, 1, 0, 0];
        for (uint op = 0; op < 64; op++)
        {
            Expect.Sequence<ulong>(
                op switch
                {
                    3 => [0x200, 0, 0, 0, 0],
                    4 => [0, 0x100, 0, 0, 0],
                    7 => [0, 0, 0x300, 0, 0],
                    8 => [0, 0, 0, 0x200, 0],
                    13 => [0, 0, 0, 0, 0x300 / 8],
                    _ => [0, 0, 0, 0, 0],
                },
                TestLengths(op, words),
                $"bytes of the buffers of op {op}");
        }
    }

    [Fact]
    public void A_length_that_an_older_caller_does_not_pass_is_zero()
    {
        var argument = UapiStruct.ToBytes(new IommuHwptAlloc { DataLen = 100, DataUptr = 0x1000 });
        var buffer = IoctlTable.Get(IommuCommand.HwptAlloc).Buffers[0];
        Expect.Equal(0UL, buffer.LengthIn(argument.AsSpan(0, 24)), "data_len of an argument of 24 bytes, which ends before it");
        Expect.Equal(100UL, buffer.LengthIn(argument.AsSpan(0, 32)), "data_len of an argument of 32 bytes, which ends behind it");
    }

    private static ulong LengthOf<T>(IommuCommand command, T argument)
        where T : unmanaged
        => Assert.Single(IoctlTable.Get(command).Buffers).LengthIn(UapiStruct.ToBytes(argument));

    private static ulong[] TestLengths(uint op, ulong[] words)
    {
        var argument = new IommuTestCmd { Op = op };
        words.CopyTo(argument.Fields);
        var bytes = UapiStruct.ToBytes(argument);
        return [.. IoctlTable.Get(IommuCommand.TestCmd).Buffers.Select(buffer => buffer.LengthIn(bytes))];
    }
}
