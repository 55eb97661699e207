using IommuFd.ClusterTests.Devices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using static IommuFd.ClusterTests.Ioctls.RawGuest;
using static IommuFd.GrainInterfaces.DiagnosticReason;
using static IommuFd.Uapi.Errno;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>The errnos of IOMMU_HWPT_INVALIDATE, and how many entries it says it has carried out.</summary>
[Collection(DeviceCluster.Name)]
public sealed class InvalidateErrnoTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const uint Unknown = 1 << 1;

    // Memory that ends behind two entries of a page table, and behind an entry and a half of a vIOMMU.
    private const ulong Short = Nowhere - 16;

    [Fact]
    public async Task An_invalidation_is_refused_for_its_reasons_and_in_their_order()
    {
        var guest = await MakeAsync(Context, Ioas);
        var good = await NestedAsync(guest);
        var bad = good with { DataType = (uint)IommuHwptInvalidateDataType.ArmSmmuv3, EntryNum = 65_537, EntryLen = 0, HwptId = Missing };

        await ExpectAsync(guest, "a reserved field", EOPNOTSUPP, ReservedNotZero, 0, bad with { Reserved = 1 });
        await ExpectAsync(guest, "entries without a length", EINVAL, NoEntries, 0, bad);
        await ExpectAsync(guest, "entries without an address", EINVAL, NoEntries, 0, bad with { EntryLen = 8, DataUptr = 0 });
        await ExpectAsync(guest, "more entries than Linux takes", EINVAL, TooManyEntries, 0, bad with { EntryLen = 8, EntryNum = (1 << 19) + 1 });
        await ExpectAsync(guest, "entries of more than a page", EINVAL, RequestTooLarge, 0, bad with { EntryLen = 4_097 });
        await ExpectAsync(guest, "no object", ENOENT, ObjectNotFound, 0, bad with { EntryLen = 8 });
        await ExpectAsync(guest, "a page table that is not nested", EINVAL, NotInvalidatable, 0, bad with { EntryLen = 8, HwptId = guest.Parent.Value });
        await ExpectAsync(guest, "too many entries", ENOMEM, TooManyEntries, 0, bad with { EntryLen = 8, HwptId = good.HwptId });
        await ExpectAsync(guest, "too many bytes", ENOMEM, RequestTooLarge, 0, bad with { EntryLen = 4_096, EntryNum = 257, HwptId = good.HwptId });
        await ExpectAsync(guest, "another IOMMU's entries", EINVAL, WrongEntryKind, 0, bad with { EntryLen = 8, EntryNum = 3, HwptId = good.HwptId });
        await ExpectAsync(guest, "none of another IOMMU's entries", EINVAL, WrongEntryKind, 0, good with { DataType = bad.DataType, EntryNum = 0 });
        await ExpectAsync(guest, "no entry", Errno.None, DiagnosticReason.None, 0, good with { EntryNum = 0, EntryLen = 0, DataUptr = 0 });
    }

    [Fact]
    public async Task Entries_for_a_page_table_are_carried_out_up_to_the_first_bad_one()
    {
        var guest = await MakeAsync(Context, Ioas);
        var good = await NestedAsync(guest);
        guest.Program.Memory.Add(Short, new byte[16]);

        await ExpectAsync(guest, "entries that are too short", EINVAL, WrongEntryLength, 0, good with { EntryLen = 7, DataUptr = Nowhere });
        await ExpectAsync(guest, "entries that are too long", EINVAL, WrongEntryLength, 0, good with { EntryLen = 9, DataUptr = Nowhere });
        await ExpectAsync(guest, "entries that can't be read", EFAULT, BufferFault, 0, good with { DataUptr = Nowhere });
        await ExpectAsync(guest, "a third entry that can't be read", EFAULT, BufferFault, 2, good with { DataUptr = Short });
        await ExpectAsync(guest, "a third entry with an unknown flag", EOPNOTSUPP, InvalidEntry, 2, Put<IommuHwptInvalidateSelftest>(guest, good, default, default, new() { Flags = Unknown, IotlbId = 4 }));
        await ExpectAsync(guest, "a second entry for a fifth entry of the cache", EINVAL, InvalidEntry, 1, Put<IommuHwptInvalidateSelftest>(guest, good, new() { IotlbId = 3 }, new() { IotlbId = 4 }, default));
        await ExpectAsync(guest, "all of the cache, and a fifth entry", EINVAL, InvalidEntry, 0, Put<IommuHwptInvalidateSelftest>(guest, good, new() { Flags = 1, IotlbId = 4 }, default, default));
        await ExpectAsync(guest, "three entries", Errno.None, DiagnosticReason.None, 3, Put<IommuHwptInvalidateSelftest>(guest, good, default, new() { IotlbId = 3 }, new() { Flags = 1 }));
    }

    [Fact]
    public async Task Entries_for_a_vIOMMU_are_all_read_before_the_first_is_carried_out()
    {
        const uint Known = 0x20;
        var guest = await MakeAsync(Context, Ioas);
        await Context.AllocateVdeviceAsync(guest.Viommu, new ObjectId(guest.Device.OutIdevId), Known);
        guest.Program.Memory.Add(Short, UapiStruct.ToBytes(new IommuViommuInvalidateSelftest { VdevId = Known }).Concat(new byte[4]).ToArray());
        var good = new IommuHwptInvalidate
        {
            HwptId = guest.Viommu.Value,
            DataUptr = Data,
            DataType = (uint)IommuHwptInvalidateDataType.Selftest,
            EntryLen = 12,
            EntryNum = 2,
        };
        IommuViommuInvalidateSelftest entry = new() { VdevId = Known };

        await ExpectAsync(guest, "another IOMMU's entries", EINVAL, WrongEntryKind, 0, good with { DataType = 1, DataUptr = Nowhere });
        await ExpectAsync(guest, "a second entry that can't be read", EFAULT, BufferFault, 0, good with { DataUptr = Short });
        guest.Program.Memory.Write(Data, [.. UapiStruct.ToBytes(entry), 0, .. UapiStruct.ToBytes(entry), 1]);
        await ExpectAsync(guest, "a second entry with an unknown byte", E2BIG, UnknownBytesNotZero, 0, good with { EntryLen = 13 });
        await ExpectAsync(guest, "a second entry with an unknown flag", EOPNOTSUPP, InvalidEntry, 1, Put<IommuViommuInvalidateSelftest>(guest, good, entry, new() { Flags = Unknown, VdevId = 1, CacheId = 4 }));
        await ExpectAsync(guest, "a second entry for a fifth entry of the cache", EINVAL, InvalidEntry, 1, Put<IommuViommuInvalidateSelftest>(guest, good, entry, new() { VdevId = 1, CacheId = 4 }));
        await ExpectAsync(guest, "a second entry without a vDevice", EINVAL, InvalidEntry, 1, Put<IommuViommuInvalidateSelftest>(guest, good, entry, new() { VdevId = 1 }));
        await guest.Program.ExpectAsync(
            "what the first entries have cleared", Errno.None, IommuTestOp.DevCheckCache, guest.Device.OutIdevId, default(IommuTestCheckDevCache));
        await guest.Program.ExpectAsync(
            "what they have not", EINVAL, IommuTestOp.DevCheckCache, guest.Device.OutIdevId, new IommuTestCheckDevCache { Id = 1 });
        await ExpectAsync(guest, "two entries", Errno.None, DiagnosticReason.None, 2, Put<IommuViommuInvalidateSelftest>(guest, good, entry, entry));
    }

    [Fact]
    public async Task A_command_that_a_guest_s_SMMU_has_not_is_EIO()
    {
        const ulong ClearAll = 0x10;
        const ulong ClearStream = 0x40;
        var guest = await MakeAsync(Context, Ioas);
        var device = (await Driver.BindDeviceAsync(new DeviceDescription { Name = "virtual", Iommu = DeviceDescription.VirtualIommu })).Id;
        var parent = await Context.AllocateHwptAsync(device, Ioas, IommuHwptAllocFlags.NestParent);
        var viommu = await Context.AllocateViommuAsync(device, parent, IommuViommuType.ArmSmmuv3);
        await Context.AllocateVdeviceAsync(viommu, device, 0x20);
        var nested = await Context.AllocateNestedHwptAsync(device, viommu, IommuHwptDataType.ArmSmmuv3, default(IommuHwptArmSmmuv3));
        var good = new IommuHwptInvalidate { HwptId = viommu.Value, DataUptr = Data, DataType = (uint)IommuHwptInvalidateDataType.ArmSmmuv3, EntryLen = 16, EntryNum = 2 };
        IommuViommuArmSmmuv3Invalidate all = new() { Cmd0 = ClearAll };

        await ExpectAsync(guest, "a page table, which takes none", EOPNOTSUPP, NotInvalidatable, 0, good with { HwptId = nested.Value });
        await ExpectAsync(guest, "another IOMMU's", EINVAL, WrongEntryKind, 0, good with { DataType = (uint)IommuHwptInvalidateDataType.Selftest });
        await ExpectAsync(guest, "a second command that is unknown", EIO, InvalidEntry, 1, Put<IommuViommuArmSmmuv3Invalidate>(guest, good, all, new() { Cmd0 = 1 }));
        await ExpectAsync(guest, "a second command for no device", EIO, InvalidEntry, 1, Put<IommuViommuArmSmmuv3Invalidate>(guest, good, all, new() { Cmd0 = ClearStream | (0x21UL << 32) }));
        await ExpectAsync(guest, "two commands", Errno.None, DiagnosticReason.None, 2, Put<IommuViommuArmSmmuv3Invalidate>(guest, good, all, new() { Cmd0 = ClearStream | (0x20UL << 32) }));
    }

    [Fact]
    public async Task An_invalidation_whose_answer_cannot_be_written_is_EFAULT_and_is_not_carried_out()
    {
        var guest = await MakeAsync(Context, Ioas);
        guest.Program.Memory.Write(Data, UapiStruct.ToBytes(new IommuHwptSelftest { Iotlb = 5 }));
        var nested = (await guest.NestAsync(guest.Parent)).Value;
        var cmd = new IommuHwptInvalidate { HwptId = nested, DataUptr = Data + 8, DataType = (uint)IommuHwptInvalidateDataType.Selftest, EntryLen = 8, EntryNum = 1 };

        Assert.Equal(EFAULT, await guest.Program.UnwritableAsync(IommuCommand.HwptInvalidate, cmd));

        await guest.Program.ExpectAsync("what the cache has", Errno.None, IommuTestOp.MdCheckIotlb, nested, new IommuTestCheckIotlb { Iotlb = 5 });
        await guest.Program.IoctlAsync(IommuCommand.HwptInvalidate, cmd);
        await guest.Program.ExpectAsync("what it has then", Errno.None, IommuTestOp.MdCheckIotlb, nested, default(IommuTestCheckIotlb));
    }

    private static async Task<IommuHwptInvalidate> NestedAsync(RawGuest guest) => new()
    {
        HwptId = (await guest.NestAsync(guest.Parent)).Value,
        DataUptr = Data,
        DataType = (uint)IommuHwptInvalidateDataType.Selftest,
        EntryLen = 8,
        EntryNum = 3,
    };

    // Writes the entries where the argument says.
    private static IommuHwptInvalidate Put<T>(RawGuest guest, IommuHwptInvalidate cmd, params T[] entries)
        where T : unmanaged
    {
        guest.Program.Memory.Write(Data, entries.SelectMany(entry => UapiStruct.ToBytes(in entry)).ToArray());
        return cmd with { DataUptr = Data };
    }

    private async Task ExpectAsync(RawGuest guest, string what, Errno errno, DiagnosticReason reason, uint done, IommuHwptInvalidate cmd)
    {
        var bytes = UapiStruct.ToBytes(cmd with { Size = 32 });
        var result = await Context.IoctlAsync((uint)IommuCommand.HwptInvalidate, bytes, guest.Program.Memory);
        var actual = (result.Errno, result.Diagnostic?.Reason ?? DiagnosticReason.None, UapiStruct.Read<IommuHwptInvalidate>(bytes).EntryNum);
        Assert.True(actual == (errno, reason, done), $"{what}: expected {(errno, reason, done)}, was {actual}");
    }
}
