using IommuFd.Linearizability;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Ioctl = IommuFd.Linearizability.Ioctl;

namespace IommuFd.UnitTests.Linearizability;

/// <summary>What the specification says of a guest's IOMMU, rule by rule; the service answers the same. Ids are counted from the start of a context.</summary>
public sealed class NestingSpecificationTests
{
    private const uint Ioas = 1;
    private const uint Owner = 2;
    private const uint Device = 3;
    private const uint Parent = 5;

    private readonly SpecifiedContext _context = new();

    public NestingSpecificationTests()
    {
        Run(IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        Test(IommuTestOp.MockDomain, Ioas, default(IommuTestMockDomain));
        AllocHwpt(Ioas, IommuHwptAllocFlags.NestParent);
        Assert.IsType<HwptObject>(_context.State.Find(Parent));
    }

    [Fact]
    public void A_vDevice_that_goes_with_its_device_leaves_its_id_taken()
    {
        var viommu = AllocViommu();
        var vdevice = AllocVdevice(viommu);
        Destroy(Owner);

        Destroy(vdevice, Errno.ENOENT);
        Destroy(viommu);
        Destroy(Parent);
        Destroy(Ioas);

        // So the context is not empty.
        Run(IommuCommand.Option, new IommuOption { OptionId = (uint)IommuOptionId.RlimitMode, Op = (ushort)IommuOptionOp.Set, Val64 = 1 }, Errno.EBUSY);
        for (var id = 1U; id < vdevice; id++)
        {
            Run(IommuCommand.IoasAlloc, default(IommuIoasAlloc));
        }

        Assert.Equal(vdevice + 1, UapiStruct.Read<IommuIoasAlloc>(Run(IommuCommand.IoasAlloc, default(IommuIoasAlloc))).OutIoasId);
    }

    [Fact]
    public void A_vDevice_holds_its_vIOMMU_and_that_its_parent()
    {
        var viommu = AllocViommu();
        var nested = AllocHwpt(viommu);
        var vdevice = AllocVdevice(viommu);

        Destroy(Parent, Errno.EBUSY);
        Destroy(viommu, Errno.EBUSY);
        Destroy(vdevice);
        Destroy(viommu, Errno.EBUSY);
        Destroy(nested);
        Destroy(viommu);
        Destroy(Parent);
    }

    [Fact]
    public void A_device_has_one_vDevice_and_an_id_of_the_guest_one_device()
    {
        var viommu = AllocViommu();
        var vdevice = AllocVdevice(viommu);
        var other = UapiStruct.Read<IommuTestCmd>(Test(IommuTestOp.MockDomain, Ioas, default(IommuTestMockDomain))).Fields.As<IommuTestMockDomain>().OutIdevId;

        AllocVdevice(viommu, virtId: 2, errno: Errno.EEXIST);
        AllocVdevice(AllocViommu(), virtId: 2, errno: Errno.EEXIST);
        AllocVdevice(viommu, other, errno: Errno.EEXIST);
        AllocVdevice(AllocViommu(), other);
        Destroy(vdevice);
        AllocVdevice(viommu);
    }

    [Fact]
    public void A_device_without_a_vDevice_is_not_attached_to_a_page_table_of_the_vIOMMU()
    {
        var viommu = AllocViommu();
        var nested = AllocHwpt(viommu);

        Attach(nested, Errno.ENOENT);
        Test(IommuTestOp.MockDomain, nested, default(IommuTestMockDomain), Errno.ENOENT);
        var vdevice = AllocVdevice(viommu);
        Attach(nested);
        Destroy(nested, Errno.EBUSY);

        // It stays attached without, and is not asked again.
        Destroy(vdevice);
        Attach(nested);
        Attach(Parent);
        Attach(nested, Errno.ENOENT);
        Destroy(nested);
    }

    [Fact]
    public void An_invalidation_that_fails_has_done_what_comes_before()
    {
        var nested = AllocHwpt(Parent);
        CheckIotlb(nested, 1, 0x1107B0);

        // The last of three names a cache entry that there is not.
        Assert.Equal(2U, Invalidate<IommuHwptInvalidateSelftest>(nested, first: 4, Errno.EINVAL));
        for (var entry = 0U; entry < 4; entry++)
        {
            CheckIotlb(nested, entry, 0);
            CheckIotlb(nested, entry, 0x1107B0, Errno.EINVAL);
        }
    }

    [Fact]
    public void A_vIOMMU_drops_what_the_devices_of_its_vDevices_cache()
    {
        var viommu = AllocViommu();
        AllocVdevice(viommu);
        CheckCache(0, ContextSpecification.DeviceCache);

        Assert.Equal(0U, Invalidate<IommuViommuInvalidateSelftest>(viommu, first: 3, Errno.EINVAL));
        CheckCache(0, ContextSpecification.DeviceCache);

        // Entries that are longer than known may only have zeros more.
        Assert.Equal(0U, Invalidate<IommuViommuInvalidateSelftest>(viommu, first: 0, Errno.E2BIG, more: 8));
        CheckCache(0, ContextSpecification.DeviceCache);

        // Two entries are for the guest's device 1 and done, the third is for its device 2.
        Assert.Equal(2U, Invalidate<IommuViommuInvalidateSelftest>(viommu, first: 1, Errno.EINVAL));
        CheckCache(0, 0);
        CheckCache(3, 0);
    }

    [Fact]
    public void Guests_page_tables_nest_on_parents_and_vIOMMUs_only()
    {
        AllocHwpt(4, errno: Errno.EINVAL);
        AllocHwpt(AllocHwpt(Parent), errno: Errno.EINVAL);
        AllocHwpt(Device, errno: Errno.EINVAL);
        AllocHwpt(99, errno: Errno.EINVAL);
        AllocHwpt(Parent, IommuHwptAllocFlags.NestParent, errno: Errno.EOPNOTSUPP);
        Run(IommuCommand.ViommuAlloc, new IommuViommuAlloc { Type = (uint)IommuViommuType.Selftest, DevId = Device, HwptId = 4 }, Errno.EINVAL);
        Run(IommuCommand.ViommuAlloc, new IommuViommuAlloc { Type = (uint)IommuViommuType.Selftest, DevId = Device, HwptId = Ioas }, Errno.ENOENT);
    }

    private uint AllocHwpt(uint on, IommuHwptAllocFlags flags = IommuHwptAllocFlags.None, Errno errno = Errno.None)
    {
        var isNested = on != Ioas;
        var answer = Run(
            IommuCommand.HwptAlloc,
            new IommuHwptAlloc
            {
                Flags = (uint)flags,
                DevId = Device,
                PtId = on,
                DataType = (uint)(isNested ? IommuHwptDataType.Selftest : IommuHwptDataType.None),
                DataLen = isNested ? 8U : 0,
                DataUptr = isNested ? CallerStructs.AddressOf<IommuHwptSelftest>(0) : 0,
            },
            errno);
        return errno == Errno.None ? UapiStruct.Read<IommuHwptAlloc>(answer).OutHwptId : 0;
    }

    private uint AllocViommu()
        => UapiStruct.Read<IommuViommuAlloc>(Run(IommuCommand.ViommuAlloc, new IommuViommuAlloc { Type = (uint)IommuViommuType.Selftest, DevId = Device, HwptId = Parent })).OutViommuId;

    private uint AllocVdevice(uint viommu, uint device = Device, ulong virtId = 1, Errno errno = Errno.None)
    {
        var answer = Run(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = viommu, DevId = device, VirtId = virtId }, errno);
        return errno == Errno.None ? UapiStruct.Read<IommuVdeviceAlloc>(answer).OutVdeviceId : 0;
    }

    // Three entries; answers how many were done.
    private uint Invalidate<T>(uint id, int first, Errno errno, uint more = 0)
        where T : unmanaged
        => UapiStruct.Read<IommuHwptInvalidate>(Run(
            IommuCommand.HwptInvalidate,
            new IommuHwptInvalidate
            {
                HwptId = id,
                DataUptr = CallerStructs.AddressOf<T>(first),
                DataType = (uint)IommuHwptInvalidateDataType.Selftest,
                EntryLen = (uint)UapiStruct.ToBytes(default(T)).Length + more,
                EntryNum = 3,
            },
            errno)).EntryNum;

    private void Attach(uint pageTable, Errno errno = Errno.None) => Test(IommuTestOp.MockDomainReplace, Owner, new IommuTestMockDomainReplace { PtId = pageTable }, errno);

    private void CheckIotlb(uint hwpt, uint entry, uint value, Errno errno = Errno.None)
        => Test(IommuTestOp.MdCheckIotlb, hwpt, new IommuTestCheckIotlb { Id = entry, Iotlb = value }, errno);

    private void CheckCache(uint entry, uint value) => Test(IommuTestOp.DevCheckCache, Device, new IommuTestCheckDevCache { Id = entry, Cache = value });

    private void Destroy(uint id, Errno errno = Errno.None) => Run(IommuCommand.Destroy, new IommuDestroy { Id = id }, errno);

    private byte[] Test<T>(IommuTestOp op, uint id, in T fields, Errno errno = Errno.None)
        where T : unmanaged
        => Run(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)op, Id = id, Fields = IommuTestCmdUnion.Of(in fields) }, errno);

    private byte[] Run<T>(IommuCommand command, in T argument, Errno errno = Errno.None)
        where T : unmanaged
    {
        var ioctl = Ioctl.Of(command, in argument);
        var answer = _context.Run(ioctl, "it");
        Expect.Equal(errno, answer.Errno, LinearizabilityReport.Ask(ioctl));
        return answer.Argument;
    }
}
