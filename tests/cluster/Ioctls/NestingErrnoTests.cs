using IommuFd.Client;
using IommuFd.ClusterTests.Devices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using static IommuFd.ClusterTests.Ioctls.RawGuest;
using static IommuFd.GrainInterfaces.DiagnosticReason;
using static IommuFd.Uapi.Errno;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>The errnos of nested page tables, vIOMMUs and vDevices. What is wrong in a case is also wrong in later ones' way, so that the cases show the order of the checks.</summary>
[Collection(DeviceCluster.Name)]
public sealed class NestingErrnoTests(DeviceCluster cluster) : DeviceContext(cluster)
{
    private const uint Unknown = 1U << 31;
    private const uint FaultIdValid = (uint)IommuHwptAllocFlags.FaultIdValid;

    [Fact]
    public async Task A_nested_page_table_is_refused_for_its_reasons_and_in_their_order()
    {
        var guest = await MakeAsync(Context, Ioas);
        var (device, nested) = (new ObjectId(guest.Device.OutIdevId), await guest.NestAsync(guest.Parent));
        var plain = await Context.AllocateHwptAsync(device, Ioas);
        var pci = await Driver.BindDeviceAsync(new DeviceDescription { Name = "pci", Iommu = DeviceDescription.PciIommu });
        var others = await BindVirtualAsync();
        var foreign = await Context.AllocateHwptAsync(others, Ioas, IommuHwptAllocFlags.NestParent);
        var good = guest.Nested(guest.Parent);
        var bad = good with { DataType = (uint)IommuHwptDataType.ArmSmmuv3, DataLen = 3, DataUptr = Nowhere, Flags = FaultIdValid, FaultId = Missing };
        var before = await SnapshotAsync();

        await guest.Program.ExpectAsync(
            IommuCommand.HwptAlloc,
            ("no object", EINVAL, ObjectNotFound, bad with { PtId = Missing, Flags = Unknown }),
            ("on a nested page table", EINVAL, CannotAllocateOn, bad with { PtId = nested.Value, Flags = Unknown }),
            ("an unknown flag", EOPNOTSUPP, UnsupportedFlags, bad with { PtId = plain.Value, Flags = Unknown }),
            ("a nest parent on a nest parent", EOPNOTSUPP, UnsupportedFlags, bad with { PtId = plain.Value, Flags = (uint)IommuHwptAllocFlags.NestParent }),
            ("no data", EOPNOTSUPP, NestingNeedsData, bad with { PtId = plain.Value, DataType = 0, DataLen = 0 }),
            ("an IOMMU that does not nest", EOPNOTSUPP, CannotNest, bad with { PtId = plain.Value, DevId = pci.Id.Value }),
            ("an automatic page table", EINVAL, NotNestParent, bad with { PtId = guest.Device.OutHwptId }),
            ("no nest parent", EINVAL, NotNestParent, bad with { PtId = plain.Value }),
            ("a parent of another IOMMU", EINVAL, OtherIommu, bad with { PtId = foreign.Value }),
            ("another IOMMU's data", EOPNOTSUPP, UnsupportedData, bad),
            ("data that are too short", EINVAL, WrongDataLength, bad with { DataType = good.DataType }),
            ("data that are too long", EINVAL, WrongDataLength, bad with { DataType = good.DataType, DataLen = 9 }),
            ("data that can't be read", EFAULT, BufferFault, bad with { DataType = good.DataType, DataLen = 8 }),
            ("data that end", EFAULT, BufferFault, bad with { DataType = good.DataType, DataLen = 8, DataUptr = Data + (4 * Page) - 4 }),
            ("no fault queue", ENOENT, ObjectNotFound, bad with { DataType = good.DataType, DataLen = 8, DataUptr = Data }),
            ("no fault queue but a page table", ENOENT, ObjectOfOtherType, good with { Flags = FaultIdValid, FaultId = plain.Value }));

        Assert.Equal(before, await SnapshotAsync());
        await guest.Program.ExpectAsync(IommuCommand.HwptAlloc, ("the first field of the data", Errno.None, DiagnosticReason.None, good with { DataLen = 4 }));
    }

    [Fact]
    public async Task A_page_table_on_a_vIOMMU_is_refused_for_its_reasons_and_in_their_order()
    {
        var guest = await MakeAsync(Context, Ioas);
        var others = await BindVirtualAsync();
        var good = guest.Nested(guest.Viommu);
        var bad = good with { DataType = (uint)IommuHwptDataType.ArmSmmuv3, DataLen = 3, DataUptr = Nowhere, Flags = FaultIdValid, FaultId = Missing };
        var before = await SnapshotAsync();

        await guest.Program.ExpectAsync(
            IommuCommand.HwptAlloc,
            ("a device of another IOMMU", EINVAL, OtherIommu, bad with { DevId = others.Value, Flags = Unknown }),
            ("an unknown flag", EOPNOTSUPP, UnsupportedFlags, bad with { Flags = Unknown }),
            ("no data", EOPNOTSUPP, NestingNeedsData, bad with { DataType = 0, DataLen = 0 }),
            ("another IOMMU's data", EOPNOTSUPP, UnsupportedData, bad),
            ("data that are too short", EINVAL, WrongDataLength, bad with { DataType = good.DataType }),
            ("data that can't be read", EFAULT, BufferFault, bad with { DataType = good.DataType, DataLen = 8 }),
            ("no fault queue", ENOENT, ObjectNotFound, bad with { DataType = good.DataType, DataLen = 8, DataUptr = Data }));

        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task A_stream_table_entry_that_a_guest_must_not_have_is_EIO()
    {
        var guest = await MakeAsync(Context, Ioas);
        var device = await BindVirtualAsync();
        var parent = await Context.AllocateHwptAsync(device, Ioas, IommuHwptAllocFlags.NestParent);
        var viommu = await Context.AllocateViommuAsync(device, parent, IommuViommuType.ArmSmmuv3);
        guest.Program.Memory.Add(Nowhere + Page, UapiStruct.ToBytes(new IommuHwptArmSmmuv3 { Ste0 = 0b1011 }));
        guest.Program.Memory.Add(Nowhere + (2 * Page), UapiStruct.ToBytes(new IommuHwptArmSmmuv3 { Ste0 = 0b1101 }));
        var good = new IommuHwptAlloc { DevId = device.Value, PtId = viommu.Value, DataType = (uint)IommuHwptDataType.ArmSmmuv3, DataLen = 16, DataUptr = Nowhere + Page };

        await guest.Program.ExpectAsync(
            IommuCommand.HwptAlloc,
            ("not on a vIOMMU", EOPNOTSUPP, CannotNest, good with { PtId = parent.Value, DataUptr = Nowhere }),
            ("half an entry", EINVAL, WrongDataLength, good with { DataLen = 8, DataUptr = Nowhere }),
            ("an entry that can't be read", EFAULT, BufferFault, good with { DataUptr = Nowhere }),
            ("a second stage", EIO, InvalidData, good with { DataUptr = Nowhere + (2 * Page) }),
            ("a first stage", Errno.None, DiagnosticReason.None, good));
    }

    [Fact]
    public async Task A_vIOMMU_is_refused_for_its_reasons_and_in_their_order()
    {
        var guest = await MakeAsync(Context, Ioas);
        var plain = await Context.AllocateHwptAsync(new ObjectId(guest.Device.OutIdevId), Ioas);
        var others = await BindVirtualAsync();
        guest.Program.Memory.Add(Nowhere + Page, new byte[24], MemoryAccess.Read);
        var good = new IommuViommuAlloc { Type = (uint)IommuViommuType.Selftest, DevId = guest.Device.OutIdevId, HwptId = guest.Parent.Value, DataLen = 24, DataUptr = Data };
        var bad = good with { Type = (uint)IommuViommuType.ArmSmmuv3, DevId = Missing, HwptId = Missing, DataLen = 7, DataUptr = Nowhere };
        var before = await SnapshotAsync();

        await guest.Program.ExpectAsync(
            IommuCommand.ViommuAlloc,
            ("a flag", EOPNOTSUPP, UnsupportedFlags, bad with { Flags = 1, Type = 0 }),
            ("no type", EOPNOTSUPP, UnsupportedKind, bad with { Type = 0 }),
            ("no device", ENOENT, ObjectNotFound, bad),
            ("no device but an IOAS", ENOENT, ObjectOfOtherType, bad with { DevId = Ioas.Value }),
            ("another IOMMU's type", EOPNOTSUPP, UnsupportedKind, bad with { DevId = good.DevId }),
            ("a type of an IOMMU that is not the device's", EOPNOTSUPP, UnsupportedKind, bad with { Type = good.Type, DevId = others.Value }),
            ("no page table", ENOENT, ObjectNotFound, bad with { Type = good.Type, DevId = good.DevId }),
            ("no page table but a vIOMMU", ENOENT, ObjectOfOtherType, bad with { Type = good.Type, DevId = good.DevId, HwptId = guest.Viommu.Value }),
            ("no nest parent", EINVAL, NotNestParent, bad with { Type = good.Type, DevId = good.DevId, HwptId = plain.Value }),
            ("a parent of another IOMMU", EINVAL, OtherIommu, bad with { DevId = others.Value, HwptId = good.HwptId }),
            ("data that are too short", EINVAL, WrongDataLength, good with { DataLen = 7, DataUptr = Nowhere }),
            ("data that are too long", EINVAL, WrongDataLength, good with { DataLen = 25, DataUptr = Nowhere }),
            ("data that can't be read", EFAULT, BufferFault, good with { DataUptr = Nowhere }),
            ("data that can't be written", EFAULT, BufferFault, good with { DataUptr = Nowhere + Page }));

        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task A_vDevice_is_refused_for_its_reasons_and_in_their_order()
    {
        var guest = await MakeAsync(Context, Ioas);
        var (device, second, others) = (new ObjectId(guest.Device.OutIdevId), await BindAsync(), await BindVirtualAsync());
        await Context.AllocateVdeviceAsync(guest.Viommu, device, 0x20);
        var before = await SnapshotAsync();

        await guest.Program.ExpectAsync<IommuVdeviceAlloc>(
            IommuCommand.VdeviceAlloc,
            ("no vIOMMU", ENOENT, ObjectNotFound, new() { ViommuId = Missing, DevId = Missing + 1 }),
            ("no vIOMMU but its parent", ENOENT, ObjectOfOtherType, new() { ViommuId = guest.Parent.Value, DevId = Missing }),
            ("no device", ENOENT, ObjectNotFound, new() { ViommuId = guest.Viommu.Value, DevId = Missing }),
            ("a device of another IOMMU", EINVAL, OtherIommu, new() { ViommuId = guest.Viommu.Value, DevId = others.Value, VirtId = 0x20 }),
            ("a device that has one", EEXIST, DeviceHasVdevice, new() { ViommuId = guest.Viommu.Value, DevId = device.Value, VirtId = 0x20 }),
            ("an id that is taken", EEXIST, VirtualIdTaken, new() { ViommuId = guest.Viommu.Value, DevId = second.Id.Value, VirtId = 0x20 }));

        Assert.Equal(before, await SnapshotAsync());
        await guest.Program.ExpectAsync<IommuVdeviceAlloc>(
            IommuCommand.VdeviceAlloc, ("the largest id", Errno.None, DiagnosticReason.None, new() { ViommuId = guest.Viommu.Value, DevId = second.Id.Value, VirtId = ulong.MaxValue }));
    }

    [Fact]
    public async Task An_answer_that_cannot_be_written_is_EFAULT_and_makes_nothing()
    {
        var guest = await MakeAsync(Context, Ioas);
        await guest.Program.MapAsync(Ioas, Data, Page, Base);
        var (device, viommu) = (guest.Device.OutIdevId, guest.Viommu.Value);
        var before = await SnapshotAsync();

        Assert.Equal(EFAULT, await guest.Program.UnwritableAsync(IommuCommand.HwptAlloc, guest.Nested(guest.Parent)));
        Assert.Equal(EFAULT, await guest.Program.UnwritableAsync(IommuCommand.HwptAlloc, guest.Nested(guest.Viommu)));
        Assert.Equal(EFAULT, await guest.Program.UnwritableAsync(IommuCommand.ViommuAlloc, new IommuViommuAlloc { Type = (uint)IommuViommuType.Selftest, DevId = device, HwptId = guest.Parent.Value }));
        Assert.Equal(EFAULT, await guest.Program.UnwritableAsync(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = viommu, DevId = device }));
        Assert.Equal(EFAULT, await guest.Program.UnwritableAsync(IommuCommand.FaultQueueAlloc, default(IommuFaultAlloc)));
        Assert.Equal(EFAULT, await guest.Program.UnwritableAsync(IommuCommand.VeventqAlloc, new IommuVeventqAlloc { ViommuId = viommu, Type = (uint)IommuVeventqType.Selftest, VeventqDepth = 1 }));
        Assert.Equal(EFAULT, await guest.Program.UnwritableAsync(
            IommuCommand.HwQueueAlloc, new IommuHwQueueAlloc { ViommuId = viommu, Type = (uint)IommuHwQueueType.Selftest, NestingParentIova = Base, Length = Page }));

        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task What_a_cache_has_is_checked_entry_by_entry()
    {
        var guest = await MakeAsync(Context, Ioas);
        var nested = (await guest.NestAsync(guest.Parent)).Value;
        foreach (var (what, errno, id, fields) in new (string, Errno, uint, IommuTestCheckIotlb)[]
        {
            ("its last entry", Errno.None, nested, new() { Id = 3 }),
            ("another value", EINVAL, nested, new() { Id = 3, Iotlb = 1 }),
            ("a fifth entry", EINVAL, nested, new() { Id = 4 }),
            ("no page table", ENOENT, Missing, default),
            ("a page table that is not nested", ENOENT, guest.Parent.Value, default),
        })
        {
            await guest.Program.ExpectAsync(what, errno, IommuTestOp.MdCheckIotlb, id, fields);
        }
    }

    [Fact]
    public async Task PASIDs_are_attached_moved_and_detached_for_their_reasons_only()
    {
        const uint Failing = 1024;
        var guest = await MakeAsync(Context, Ioas, IommuTestDeviceFlags.Pasid);
        var (owner, device) = (guest.Device.OutStdevId, new ObjectId(guest.Device.OutIdevId));
        var first = await Context.AllocateHwptAsync(device, Ioas, IommuHwptAllocFlags.Pasid);
        var second = await Context.AllocateHwptAsync(device, Ioas, IommuHwptAllocFlags.Pasid);
        async Task ExpectAsync(string what, Errno errno, IommuTestOp op, uint pasid, uint pageTable, uint? of = null)
            => await guest.Program.ExpectAsync(what, errno, op, of ?? owner, new IommuTestPasidAttach { Pasid = pasid, PtId = pageTable });

        await ExpectAsync("beside a page table that is not for PASIDs", EINVAL, IommuTestOp.PasidAttach, 1, first.Value);
        await guest.ReplaceAsync(first);
        foreach (var op in (IommuTestOp[])[IommuTestOp.PasidAttach, IommuTestOp.PasidReplace])
        {
            await ExpectAsync("no owner", ENOENT, op, 1, Missing, of: Missing);
            await ExpectAsync("no owner but its device", ENOENT, op, 1, first.Value, of: device.Value);
            await ExpectAsync("no page table", ENOENT, op, 1, Missing);
            await ExpectAsync("a device", EINVAL, op, 1, device.Value);
            await ExpectAsync("a page table that is not for PASIDs", EINVAL, op, 1, guest.Parent.Value);
            await ExpectAsync("a PASID of 21 bits", EINVAL, op, 1 << 20, first.Value);
        }

        await ExpectAsync("what is not attached", EINVAL, IommuTestOp.PasidReplace, 1, first.Value);
        await ExpectAsync("a PASID", Errno.None, IommuTestOp.PasidAttach, 1, first.Value);
        await ExpectAsync("the same one", EBUSY, IommuTestOp.PasidAttach, 1, first.Value);

        await ExpectAsync("where it leads", Errno.None, IommuTestOp.PasidCheckHwpt, 1, first.Value);
        await ExpectAsync("where it does not lead", EINVAL, IommuTestOp.PasidCheckHwpt, 1, second.Value);
        await ExpectAsync("an IOAS", EINVAL, IommuTestOp.PasidCheckHwpt, 1, Ioas.Value);
        await ExpectAsync("nothing", EINVAL, IommuTestOp.PasidCheckHwpt, 1, 0);
        await ExpectAsync("no page table", ENOENT, IommuTestOp.PasidCheckHwpt, 1, Missing);
        await ExpectAsync("no owner", ENOENT, IommuTestOp.PasidCheckHwpt, 1, first.Value, of: Missing);
        await ExpectAsync("a PASID that is not attached", Errno.None, IommuTestOp.PasidCheckHwpt, 2, 0);

        await ExpectAsync("no owner", ENOENT, IommuTestOp.PasidDetach, 1, 0, of: Missing);
        await ExpectAsync("a PASID", Errno.None, IommuTestOp.PasidDetach, 1, 0);
        await ExpectAsync("a PASID that is not attached", Errno.None, IommuTestOp.PasidDetach, 1, 0);

        // The selftest lets every second attachment of this one fail.
        await ExpectAsync("the first time", Errno.None, IommuTestOp.PasidAttach, Failing, first.Value);
        await ExpectAsync("the second time", ENOMEM, IommuTestOp.PasidReplace, Failing, second.Value);
        await ExpectAsync("where it has stayed", Errno.None, IommuTestOp.PasidCheckHwpt, Failing, first.Value);
        await ExpectAsync("the third time", Errno.None, IommuTestOp.PasidReplace, Failing, second.Value);
        await ExpectAsync("for all", Errno.None, IommuTestOp.PasidDetach, Failing, 0);
    }

    private async Task<ObjectId> BindVirtualAsync()
        => (await Driver.BindDeviceAsync(new DeviceDescription { Name = "virtual", Iommu = DeviceDescription.VirtualIommu })).Id;
}
