using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Uapi;

// The structs against include/uapi/linux/iommufd.h of Linux 7.1 and the selftest's iommufd_test.h. The numbers are written by hand from the
// headers and from the IOCTL_OP table in drivers/iommu/iommufd/main.c; nothing here is computed from the code under test.

public sealed class UapiLayoutTests
{
    // Kernel name, ioctl number, size, smallest size, and each field as name@offset:bytes.
    private static readonly Layout[] Layouts =
    [
        new("IOMMU_DESTROY", 0x3B80, 8, 8, "size@0:4 id@4:4"),
        new("IOMMU_IOAS_ALLOC", 0x3B81, 12, 12, "size@0:4 flags@4:4 out_ioas_id@8:4"),
        new("IOMMU_IOAS_ALLOW_IOVAS", 0x3B82, 24, 24, "size@0:4 ioas_id@4:4 num_iovas@8:4 __reserved@12:4 allowed_iovas@16:8"),
        new("IOMMU_IOAS_COPY", 0x3B83, 40, 40, "size@0:4 flags@4:4 dst_ioas_id@8:4 src_ioas_id@12:4 length@16:8 dst_iova@24:8 src_iova@32:8"),
        new("IOMMU_IOAS_IOVA_RANGES", 0x3B84, 32, 32, "size@0:4 ioas_id@4:4 num_iovas@8:4 __reserved@12:4 allowed_iovas@16:8 out_iova_alignment@24:8"),
        new("IOMMU_IOAS_MAP", 0x3B85, 40, 40, "size@0:4 flags@4:4 ioas_id@8:4 __reserved@12:4 user_va@16:8 length@24:8 iova@32:8"),
        new("IOMMU_IOAS_UNMAP", 0x3B86, 24, 24, "size@0:4 ioas_id@4:4 iova@8:8 length@16:8"),
        new("IOMMU_OPTION", 0x3B87, 24, 24, "size@0:4 option_id@4:4 op@8:2 __reserved@10:2 object_id@12:4 val64@16:8"),
        new("IOMMU_VFIO_IOAS", 0x3B88, 12, 12, "size@0:4 ioas_id@4:4 op@8:2 __reserved@10:2"),
        new("IOMMU_HWPT_ALLOC", 0x3B89, 48, 24,
            "size@0:4 flags@4:4 dev_id@8:4 pt_id@12:4 out_hwpt_id@16:4 __reserved@20:4 "
            + "data_type@24:4 data_len@28:4 data_uptr@32:8 fault_id@40:4 __reserved2@44:4"),
        new("IOMMU_GET_HW_INFO", 0x3B8A, 40, 32,
            "size@0:4 flags@4:4 dev_id@8:4 data_len@12:4 data_uptr@16:8 out_data_type@24:4 "
            + "out_max_pasid_log2@28:1 __reserved0@29:1 __reserved1@30:1 __reserved2@31:1 out_capabilities@32:8"),
        new("IOMMU_HWPT_SET_DIRTY_TRACKING", 0x3B8B, 16, 16, "size@0:4 flags@4:4 hwpt_id@8:4 __reserved@12:4"),
        new("IOMMU_HWPT_GET_DIRTY_BITMAP", 0x3B8C, 48, 48, "size@0:4 hwpt_id@4:4 flags@8:4 __reserved@12:4 iova@16:8 length@24:8 page_size@32:8 data@40:8"),
        new("IOMMU_HWPT_INVALIDATE", 0x3B8D, 32, 32, "size@0:4 hwpt_id@4:4 data_uptr@8:8 data_type@16:4 entry_len@20:4 entry_num@24:4 __reserved@28:4"),
        new("IOMMU_FAULT_QUEUE_ALLOC", 0x3B8E, 16, 16, "size@0:4 flags@4:4 out_fault_id@8:4 out_fault_fd@12:4"),
        new("IOMMU_IOAS_MAP_FILE", 0x3B8F, 40, 40, "size@0:4 flags@4:4 ioas_id@8:4 fd@12:4 start@16:8 length@24:8 iova@32:8"),
        new("IOMMU_VIOMMU_ALLOC", 0x3B90, 40, 24,
            "size@0:4 flags@4:4 type@8:4 dev_id@12:4 hwpt_id@16:4 out_viommu_id@20:4 data_len@24:4 __reserved@28:4 data_uptr@32:8"),
        new("IOMMU_VDEVICE_ALLOC", 0x3B91, 24, 24, "size@0:4 viommu_id@4:4 dev_id@8:4 out_vdevice_id@12:4 virt_id@16:8"),
        new("IOMMU_IOAS_CHANGE_PROCESS", 0x3B92, 8, 8, "size@0:4 __reserved@4:4"),
        new("IOMMU_VEVENTQ_ALLOC", 0x3B93, 32, 28,
            "size@0:4 flags@4:4 viommu_id@8:4 type@12:4 veventq_depth@16:4 out_veventq_id@20:4 out_veventq_fd@24:4 __reserved@28:4"),
        new("IOMMU_HW_QUEUE_ALLOC", 0x3B94, 40, 40,
            "size@0:4 flags@4:4 viommu_id@8:4 type@12:4 index@16:4 out_hw_queue_id@20:4 nesting_parent_iova@24:8 length@32:8"),
        new("IOMMU_TEST_CMD", 0x3BA0, 72, 68, "size@0:4 op@4:4 id@8:4 __reserved@12:4 last@64:4"),
    ];

    // The structs that no command takes as its argument: what is read from files and written to them, and what drivers' data and the selftest's ops are. Each with
    // its size and its fields, where the kernel's header has them.
    private static readonly (Type Struct, int Size, string Fields)[] Records =
    [
        (typeof(IommuHwptPgfault), 40, "Flags@0:4 DevId@4:4 Pasid@8:4 Grpid@12:4 Perm@16:4 Reserved@20:4 Addr@24:8 Length@32:4 Cookie@36:4"),
        (typeof(IommuHwptPageResponse), 8, "Cookie@0:4 Code@4:4"),
        (typeof(IommufdVeventHeader), 8, "Flags@0:4 Sequence@4:4"),
        (typeof(IommuHwptArmSmmuv3), 16, "Ste0@0:8 Ste1@8:8"),
        (typeof(IommuViommuArmSmmuv3Invalidate), 16, "Cmd0@0:8 Cmd1@8:8"),
        (typeof(IommuVeventArmSmmuv3), 32, "Evt0@0:8 Evt1@8:8 Evt2@16:8 Evt3@24:8"),
        (typeof(IommuTestHwInfo), 8, "Flags@0:4 TestReg@4:4"),
        (typeof(IommuHwptSelftest), 8, "Iotlb@0:4 PagetableType@4:4"),
        (typeof(IommuHwptInvalidateSelftest), 8, "Flags@0:4 IotlbId@4:4"),
        (typeof(IommuViommuSelftest), 24, "InData@0:4 OutData@4:4 OutMmapOffset@8:8 OutMmapLength@16:8"),
        (typeof(IommuViommuInvalidateSelftest), 12, "Flags@0:4 VdevId@4:4 CacheId@8:4"),
        (typeof(IommuViommuEventSelftest), 4, "VirtId@0:4"),
        (typeof(IommuTestCheckIotlb), 8, "Id@0:4 Iotlb@4:4"),
        (typeof(IommuTestTriggerIopf), 24, "DevId@0:4 Pasid@4:4 Grpid@8:4 Perm@12:4 Addr@16:8"),
        (typeof(IommuTestCheckDevCache), 8, "Id@0:4 Cache@4:4"),
        (typeof(IommuTestTriggerVevent), 4, "DevId@0:4"),
        (typeof(IommuTestPasidAttach), 8, "Pasid@0:4 PtId@4:4"),
        (typeof(IommuTestPasidDetach), 4, "Pasid@0:4"),
        (typeof(IommuTestPasidCheck), 8, "Pasid@0:4 HwptId@4:4"),
    ];

    public static TheoryData<string> RecordNames => [.. Records.Select(record => record.Struct.Name)];

    public static TheoryData<string> Names => [.. Layouts.Select(layout => layout.Name)];

    [Fact]
    public void The_table_has_exactly_the_commands_of_Linux_7_1()
        => Expect.Sequence(Layouts.Select(layout => layout.Name), IoctlTable.All.Select(descriptor => descriptor.Name), "the commands by ascending number");

    [Theory]
    [MemberData(nameof(Names))]
    public void A_command_has_the_number_and_the_sizes_of_the_kernels_header(string name)
    {
        var (layout, descriptor) = Find(name);
        Expect.Equal(layout.Number, (uint)descriptor.Command, $"the ioctl number of {name}");
        Expect.Equal(layout.Size, descriptor.Size, $"Size of {name}");
        Expect.Equal(layout.MinSize, descriptor.MinSize, $"MinSize of {name}");
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_commands_fields_stand_where_the_kernels_header_has_them(string name)
    {
        var (layout, descriptor) = Find(name);
        Expect.Sequence(
            layout.Fields.Split(' '),
            descriptor.Fields.Select(field => $"{field.Name}@{field.Offset}:{field.Size}"),
            $"the fields of {name}");
    }

    [Theory]
    [MemberData(nameof(RecordNames))]
    public void A_records_fields_stand_where_the_kernels_header_has_them(string name)
    {
        var (type, size, fields) = Records.Single(record => record.Struct.Name == name);
        Expect.Equal(size, Marshal.SizeOf(type), $"bytes of {name}");
        Expect.Sequence(
            fields.Split(' '),
            type.GetFields().Select(field => $"{field.Name}@{Marshal.OffsetOf(type, field.Name)}:{Marshal.SizeOf(field.FieldType)}"),
            $"the fields of {name}");
    }

    [Fact]
    public void Only_the_file_descriptor_of_MAP_FILE_is_signed()
        => Expect.Sequence(
            ["IOMMU_IOAS_MAP_FILE.fd"],
            from descriptor in IoctlTable.All from field in descriptor.Fields where field.IsSigned select $"{descriptor.Name}.{field.Name}",
            "the signed fields");

    [Fact]
    public void A_field_is_reserved_exactly_if_the_kernel_names_it_so()
    {
        foreach (var (descriptor, field) in from descriptor in IoctlTable.All from field in descriptor.Fields select (descriptor, field))
        {
            Expect.Equal(field.Name.Contains("reserved", StringComparison.Ordinal), field.IsReserved, $"IsReserved of {descriptor.Name}.{field.Name}");
        }
    }

    [Fact]
    public void A_field_reads_little_endian_and_keeps_the_sign()
    {
        byte[] argument = [0x11, 0x22, 0x33, 0x44, 0xFF, 0xFF, 0xFF, 0xFF, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x81];
        Expect.Equal(0x44332211UL, new UapiField("unsigned32", 0, 4, false).Read(argument), "an unsigned 32-bit field");
        Expect.Equal(0xFFFFFFFFUL, new UapiField("unsigned32", 4, 4, false).Read(argument), "an unsigned 32-bit field of ones");
        Expect.Equal(ulong.MaxValue, new UapiField("signed32", 4, 4, true).Read(argument), "a signed 32-bit field of -1");
        Expect.Equal(0x44332211UL, new UapiField("signed32", 0, 4, true).Read(argument), "a signed 32-bit field above 0");
        Expect.Equal(0x8122334455667788UL, new UapiField("unsigned64", 8, 8, false).Read(argument), "a 64-bit field");
        Expect.Equal(0x2211UL, new UapiField("unsigned16", 0, 2, false).Read(argument), "a 16-bit field");
        Expect.Equal(0x81UL, new UapiField("unsigned8", 15, 1, false).Read(argument), "an 8-bit field");
    }

    [Fact]
    public void An_iova_range_is_two_words_first_start_then_last()
    {
        Expect.Equal(16, Unsafe.SizeOf<IommuIovaRange>(), "bytes of struct iommu_iova_range");
        Expect.Sequence(
            Convert.FromHexString("08070605040302010F0E0D0C0B0A0900"),
            UapiStruct.ToBytes(new IommuIovaRange { Start = 0x0102030405060708, Last = 0x00090A0B0C0D0E0F }),
            "struct iommu_iova_range");
    }

    [Fact]
    public void The_union_of_the_test_command_has_48_bytes_from_offset_16()
    {
        Expect.Equal(48, Unsafe.SizeOf<IommuTestCmdUnion>(), "bytes of the union");
        Expect.Equal(16, (int)Marshal.OffsetOf<IommuTestCmd>(nameof(IommuTestCmd.Fields)), "offset of the union");
    }

    [Fact]
    public void The_machine_is_little_endian_as_the_ABI_is()
    {
        Expect.That(BitConverter.IsLittleEndian, "the ABI is that of x86-64: .NET must run little-endian.");
        Expect.Sequence(
            Convert.FromHexString("0800000004030201"), UapiStruct.ToBytes(new IommuDestroy { Size = 8, Id = 0x01020304 }), "struct iommu_destroy");
    }

    [Fact]
    public void A_descriptor_shows_its_kernel_name_and_number()
        => Expect.Equal("IOMMU_HWPT_ALLOC (0x3B89)", IoctlTable.Get(IommuCommand.HwptAlloc).ToString(), "ToString of a descriptor");

    private static (Layout Layout, IoctlDescriptor Descriptor) Find(string name)
        => (Layouts.Single(layout => layout.Name == name), IoctlTable.All.Single(descriptor => descriptor.Name == name));

    private sealed record Layout(string Name, uint Number, int Size, int MinSize, string Fields);
}
