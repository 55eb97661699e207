using IommuFd.Devices.DmaTest;
using IommuFd.Devices.Pci;
using IommuFd.Uapi;
using IommuFd.UnitTests.Devices.Support;
using IommuFd.UnitTests.Support;
using static IommuFd.UnitTests.Devices.Support.DeviceWorld;

namespace IommuFd.UnitTests.Devices;

/// <summary>The rules of a device file: what it says of itself, its regions and their mappings.</summary>
public sealed class DeviceRegionTests
{
    [Fact]
    public async Task GET_INFO_says_what_a_PCI_device_has_and_cap_offset_only_where_there_is_room()
    {
        await using var world = await BoundAsync();
        var (reply, info) = await world.IoctlAsync(VfioDeviceCommand.GetInfo, new VfioDeviceInfo { Argsz = 16, CapOffset = 99 });
        Expect.Equal((Errno.None, 16), (reply.Errno, reply.Argument.Length), "errno and bytes with argsz 16");
        Expect.Equal((3U, 9U, 5U), (info.Flags, info.NumRegions, info.NumIrqs), "flags, regions and kinds of interrupt");
        var (longer, withOffset) = await world.IoctlAsync(VfioDeviceCommand.GetInfo, new VfioDeviceInfo { Argsz = 24, CapOffset = 99 });
        Expect.Equal((20, 0U), (longer.Argument.Length, withOffset.CapOffset), "bytes and cap_offset with argsz 24");
        Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.GetInfo, new VfioDeviceInfo { Argsz = 15 })).Reply.Errno, "argsz of 15");
        Expect.Equal(Errno.EFAULT, (await world.IoctlAsync(VfioDeviceCommand.GetInfo, new byte[15])).Errno, "an argument that can't be read");
        Expect.Equal(Errno.EFAULT, (await world.IoctlAsync(VfioDeviceCommand.GetInfo, Bytes(new VfioDeviceInfo { Argsz = 16 }), writable: 15)).Errno, "an argument that can't be written");
    }

    [Fact]
    public async Task A_region_begins_at_its_index_times_2_to_the_40()
    {
        await using var world = await BoundAsync();
        foreach (var (index, size, flags) in new[] { (0U, 0x4000UL, 0xFU), (1U, 0UL, 0U), (4U, 0x1000UL, 3U), (5U, 0UL, 0U), (6U, 0UL, 0U), (7U, 0x1000UL, 3U) })
        {
            var (reply, info) = await world.IoctlAsync(VfioDeviceCommand.GetRegionInfo, new VfioRegionInfo { Argsz = 32, Index = index });
            Expect.Equal((Errno.None, size, flags, (ulong)index << 40), (reply.Errno, info.Size, info.Flags, info.Offset), $"errno, size, flags and offset of region {index}");
        }

        foreach (var index in (uint[])[8, 9, uint.MaxValue])
        {
            Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.GetRegionInfo, new VfioRegionInfo { Argsz = 32, Index = index })).Reply.Errno, $"region {index}");
        }

        Expect.Equal(Errno.EINVAL, (await world.IoctlAsync(VfioDeviceCommand.GetRegionInfo, new VfioRegionInfo { Argsz = 31 })).Reply.Errno, "argsz of 31");
    }

    [Fact]
    public async Task Argsz_grows_for_the_areas_that_can_be_mapped()
    {
        await using var world = await BoundAsync();
        var (_, info) = await world.IoctlAsync(VfioDeviceCommand.GetRegionInfo, new VfioRegionInfo { Argsz = 32 });
        Expect.Equal((64U, 0U), (info.Argsz, info.CapOffset), "argsz and cap_offset without room");
        var (reply, whole) = await world.IoctlAsync(VfioDeviceCommand.GetRegionInfo, new VfioRegionInfo { Argsz = 64 }, new byte[32]);
        Expect.Equal((64U, 32U, 64), (whole.Argsz, whole.CapOffset, reply.Argument.Length), "argsz, cap_offset and bytes with room");
        var sparse = UapiStruct.Read<VfioRegionInfoCapSparseMmap>(reply.Argument.Span[32..]);
        Expect.Equal((1, 1, 0U, 1U), (sparse.Header.Id, sparse.Header.Version, sparse.Header.Next, sparse.NrAreas), "id, version, next and areas of the capability");
        var area = UapiStruct.Read<VfioRegionSparseMmapArea>(reply.Argument.Span[48..]);
        Expect.Equal((0x1000UL, 0x3000UL), (area.Offset, area.Size), "the area");
    }

    [Fact]
    public async Task Only_whole_pages_of_what_can_be_mapped_are_mapped_and_only_shared()
    {
        await using var world = await BoundAsync();
        (string What, Errno Errno, VfioPciRegion Region, int Offset, ulong Length, bool IsShared)[] all =
        [
            ("the doorbell and the window", Errno.None, VfioPciRegion.Bar0, 0x1000, 0x3000, true),
            ("part of a page", Errno.None, VfioPciRegion.Bar0, 0x3000, 1, true),
            ("the registers", Errno.EINVAL, VfioPciRegion.Bar0, 0, 0x1000, true),
            ("the registers and more", Errno.EINVAL, VfioPciRegion.Bar0, 0, 0x4000, true),
            ("beyond the BAR", Errno.EINVAL, VfioPciRegion.Bar0, 0x3000, 0x1001, true),
            ("an impossible length", Errno.EINVAL, VfioPciRegion.Bar0, 0x3000, ulong.MaxValue, true),
            ("within a page", Errno.EINVAL, VfioPciRegion.Bar0, 0x1800, 0x800, true),
            ("privately", Errno.EINVAL, VfioPciRegion.Bar0, 0x1000, 0x1000, false),
            ("the MSI-X table", Errno.EINVAL, (VfioPciRegion)4, 0, 0x1000, true),
            ("a BAR that isn't there", Errno.EINVAL, (VfioPciRegion)2, 0, 0x1000, true),
            ("the config space", Errno.EINVAL, VfioPciRegion.Config, 0, 0x1000, true),
            ("no region", Errno.EINVAL, (VfioPciRegion)12, 0, 0x1000, true),
        ];
        foreach (var (what, errno, region, offset, length, isShared) in all)
        {
            Expect.Equal(errno, world.File.Map(At(region, offset), length, isShared).Errno, $"mapping {what}");
        }
    }

    [Fact]
    public async Task The_config_space_is_read_and_written_within_its_bounds()
    {
        await using var world = await BoundAsync();
        Expect.Equal(0x10D0_1234U, await world.Read32Async(VfioPciRegion.Config, 0), "device and vendor");
        await world.Write32Async(VfioPciRegion.Config, 0, 0);
        Expect.Equal(0x10D0_1234U, await world.Read32Async(VfioPciRegion.Config, 0), "device and vendor after a write");
        await world.Write32Async(VfioPciRegion.Config, 0x10, uint.MaxValue);
        await world.Write32Async(VfioPciRegion.Config, 0x14, uint.MaxValue);
        Expect.Equal((0xFFFF_C004U, uint.MaxValue), (await world.Read32Async(VfioPciRegion.Config, 0x10), await world.Read32Async(VfioPciRegion.Config, 0x14)), "BAR 0, of 64 bits, after it was sized");
        foreach (var (offset, length) in new[] { (4096, 1), (4095, 2), (int.MaxValue, 1) })
        {
            Expect.Equal(Errno.EFAULT, (await world.File.ReadAsync(At(VfioPciRegion.Config, offset), new byte[length])).Errno, $"reading {length} bytes at {offset}");
            Expect.Equal(Errno.EFAULT, (await world.File.WriteAsync(At(VfioPciRegion.Config, offset), new byte[length])).Errno, $"writing {length} bytes at {offset}");
        }
    }

    [Fact]
    public async Task The_capabilities_are_found_by_walking_the_list()
    {
        await using var world = await BoundAsync();
        var found = new List<byte>();
        for (int at = (await world.ReadAsync(VfioPciRegion.Config, 0x34, 1))[0]; at != 0; at = (await world.ReadAsync(VfioPciRegion.Config, at + 1, 1))[0])
        {
            found.Add((await world.ReadAsync(VfioPciRegion.Config, at, 1))[0]);
        }

        Expect.Sequence([(byte)PciCapability.PowerManagement, (byte)PciCapability.Msi, (byte)PciCapability.Express, (byte)PciCapability.Msix], found, "the capabilities");
        Expect.That(((await world.ReadAsync(VfioPciRegion.Config, 6, 1))[0] & 0x10) != 0, "The status register does not say that there is a list.");
    }

    [Fact]
    public async Task A_BAR_is_read_and_written_up_to_its_end()
    {
        await using var world = await BoundAsync();
        var reply = await world.File.ReadAsync(At(VfioPciRegion.Bar0, 0x3FFE), new byte[8]);
        Expect.Equal((Errno.None, 2), (reply.Errno, reply.Result), "errno and bytes of a read across the end");
        reply = await world.File.WriteAsync(At(VfioPciRegion.Bar0, 0x3FFE), new byte[8]);
        Expect.Equal((Errno.None, 2), (reply.Errno, reply.Result), "errno and bytes of a write across the end");
        foreach (var (region, offset) in new[] { (VfioPciRegion.Bar0, 0x4000), ((VfioPciRegion)2, 0), (VfioPciRegion.Rom, 0), (VfioPciRegion.Vga, 0), (VfioPciRegion.Count, 0) })
        {
            Expect.Equal(Errno.EINVAL, (await world.File.ReadAsync(At(region, offset), new byte[4])).Errno, $"reading region {region} at {offset}");
            Expect.Equal(Errno.EINVAL, (await world.File.WriteAsync(At(region, offset), new byte[4])).Errno, $"writing region {region} at {offset}");
        }
    }

    [Fact]
    public async Task Without_memory_decode_or_in_D3_a_BAR_is_EIO()
    {
        await using var world = await BoundAsync();
        var power = world.Function.Config.Find(PciCapability.PowerManagement) + 4;
        (string What, int Offset, byte Off, byte On)[] all = [("memory decode", 4, 0, 2), ("power", power, 3, 0)];
        foreach (var (what, offset, off, on) in all)
        {
            await world.WriteAsync(VfioPciRegion.Config, offset, new[] { off });
            Expect.Equal(Errno.EIO, (await world.File.ReadAsync(At(VfioPciRegion.Bar0, 0), new byte[4])).Errno, $"a read without {what}");
            Expect.Equal(Errno.EIO, (await world.File.WriteAsync(At(VfioPciRegion.Bar0, 0), new byte[4])).Errno, $"a write without {what}");
            await world.WriteAsync(VfioPciRegion.Config, offset, new[] { on });
            Expect.Equal(DmaTestRegister.IdValue, await world.Read32Async(VfioPciRegion.Bar0, 0), $"the id with {what}");
        }
    }

    [Fact]
    public async Task The_MSI_X_table_is_hidden_from_reads_and_writes_and_the_pending_bits_are_not()
    {
        await using var world = await BoundAsync();
        Expect.Equal(uint.MaxValue, await world.Read32Async((VfioPciRegion)4, 12), "an entry of the table");
        await world.SetInterruptsAsync(VfioPciIrq.Msix, 1);
        await world.Write32Async((VfioPciRegion)4, 12, 1);
        Expect.Equal(0U, world.Function.Bar(4)!.Read32(12), "the mask of the first vector after a write that was dropped");
        Expect.Equal(0U, await world.Read32Async((VfioPciRegion)4, 0x800), "the pending bits");
        var control = world.Function.Config.Find(PciCapability.Msix) + 2;
        await world.WriteAsync(VfioPciRegion.Config, control, new byte[] { 0, 0 });
        Expect.That((await world.ReadAsync(VfioPciRegion.Config, control + 1, 1))[0] == 0x80, "A write has disabled MSI-X, which SET_IRQS has enabled.");
    }

    private static async Task<DeviceWorld> BoundAsync()
    {
        var world = await NewAsync(new DmaTestFunction());
        await world.BindAsync();
        return world;
    }
}
