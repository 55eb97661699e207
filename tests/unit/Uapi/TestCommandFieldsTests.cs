using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Uapi;

// The union of struct iommu_test_cmd against the kernel's iommufd_test.h: members, fields and offsets by hand.

public sealed class TestCommandFieldsTests
{
    private const string Head = "size@0:4 op@4:4 id@8:4 __reserved@12:4";
    private const string Tail = "last@64:4";

    public static TheoryData<IommuTestOp, string, string> Ops => new()
    {
        { IommuTestOp.AddReserved, "ADD_RESERVED", "add_reserved.start@16:8 add_reserved.length@24:8" },
        { IommuTestOp.MockDomain, "MOCK_DOMAIN", "mock_domain.out_stdev_id@16:4 mock_domain.out_hwpt_id@20:4 mock_domain.out_idev_id@24:4" },
        { IommuTestOp.MdCheckMap, "MD_CHECK_MAP", "check_map.iova@16:8 check_map.length@24:8 check_map.uptr@32:8" },
        { IommuTestOp.MdCheckRefs, "MD_CHECK_REFS", "check_refs.length@16:8 check_refs.uptr@24:8 check_refs.refs@32:4" },
        { IommuTestOp.CreateAccess, "CREATE_ACCESS", "create_access.out_access_fd@16:4 create_access.flags@20:4" },
        { IommuTestOp.DestroyAccessPages, "DESTROY_ACCESS_PAGES", "destroy_access_pages.access_pages_id@16:4" },
        { IommuTestOp.AccessPages, "ACCESS_PAGES", "access_pages.flags@16:4 access_pages.out_access_pages_id@20:4 access_pages.iova@24:8 access_pages.length@32:8 access_pages.uptr@40:8" },
        { IommuTestOp.AccessRw, "ACCESS_RW", "access_rw.iova@16:8 access_rw.length@24:8 access_rw.uptr@32:8 access_rw.flags@40:4" },
        { IommuTestOp.SetTempMemoryLimit, "SET_TEMP_MEMORY_LIMIT", "memory_limit.limit@16:4" },
        { IommuTestOp.MockDomainReplace, "MOCK_DOMAIN_REPLACE", "mock_domain_replace.pt_id@16:4" },
        { IommuTestOp.AccessReplaceIoas, "ACCESS_REPLACE_IOAS", "access_replace_ioas.ioas_id@16:4" },
        {
            IommuTestOp.MockDomainFlags, "MOCK_DOMAIN_FLAGS",
            "mock_domain_flags.out_stdev_id@16:4 mock_domain_flags.out_hwpt_id@20:4 mock_domain_flags.out_idev_id@24:4 mock_domain_flags.dev_flags@28:4"
        },
        { IommuTestOp.Dirty, "DIRTY", "dirty.flags@16:4 dirty.iova@24:8 dirty.length@32:8 dirty.page_size@40:8 dirty.uptr@48:8 dirty.out_nr_dirty@56:8" },
        { IommuTestOp.MdCheckIotlb, "MD_CHECK_IOTLB", "check_iotlb.id@16:4 check_iotlb.iotlb@20:4" },
        { IommuTestOp.TriggerIopf, "TRIGGER_IOPF", "trigger_iopf.dev_id@16:4 trigger_iopf.pasid@20:4 trigger_iopf.grpid@24:4 trigger_iopf.perm@28:4 trigger_iopf.addr@32:8" },
        { IommuTestOp.DevCheckCache, "DEV_CHECK_CACHE", "check_dev_cache.id@16:4 check_dev_cache.cache@20:4" },
        { IommuTestOp.TriggerVevent, "TRIGGER_VEVENT", "trigger_vevent.dev_id@16:4" },
        { IommuTestOp.PasidAttach, "PASID_ATTACH", "pasid_attach.pasid@16:4 pasid_attach.pt_id@20:4" },
        { IommuTestOp.PasidReplace, "PASID_REPLACE", "pasid_replace.pasid@16:4 pasid_replace.pt_id@20:4" },
        { IommuTestOp.PasidDetach, "PASID_DETACH", "pasid_detach.pasid@16:4" },
        { IommuTestOp.PasidCheckHwpt, "PASID_CHECK_HWPT", "pasid_check.pasid@16:4 pasid_check.hwpt_id@20:4" },
        { IommuTestOp.DmabufGet, "DMABUF_GET", "dmabuf_get.length@16:4 dmabuf_get.open_flags@20:4" },
        { IommuTestOp.DmabufRevoke, "DMABUF_REVOKE", "dmabuf_revoke.dmabuf_fd@16:4 dmabuf_revoke.revoked@20:4" },
    };

    [Fact]
    public void Every_op_has_a_row()
        => Expect.Sequence(Enum.GetValues<IommuTestOp>().Order(), Ops.Select(row => (IommuTestOp)row[0]).Order(), "the ops whose fields are known");

    [Theory]
    [MemberData(nameof(Ops))]
    public void An_ops_fields_are_laid_out_as_in_the_kernels_header(IommuTestOp op, string name, string fields)
    {
        var argument = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)op });
        var found = IoctlTable.Get(IommuCommand.TestCmd).FieldsIn(argument);
        Expect.Equal($"{Head} {fields} {Tail}", string.Join(' ', found.Select(field => $"{field.Path}@{field.Offset}:{field.Size}")), $"the fields of {name}");
    }

    [Theory]
    [MemberData(nameof(Ops))]
    public void Text_names_the_op_and_each_of_its_fields(IommuTestOp op, string name, string fields)
    {
        var argument = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)op, Id = 5 });
        foreach (var field in IoctlTable.Get(IommuCommand.TestCmd).FieldsIn(argument).Where(field => field.Member.Length > 0))
        {
            argument[field.Offset] = (byte)field.Offset;
        }

        var texts = fields.Split(' ').Select(field => field.Split('@', ':')).Select(field => field[0].EndsWith("flags", StringComparison.Ordinal)
            ? $"{field[0]}=0x{int.Parse(field[1]):X}"
            : $"{field[0]}={field[1]}");
        Expect.Equal($"{{size=72, op={name}, id=5, {string.Join(", ", texts)}, last=0}}", IoctlText.Decode((uint)IommuCommand.TestCmd, argument), $"the text of {name}");
    }

    [Fact]
    public void Text_shows_what_an_op_has_answered()
    {
        var before = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.MockDomain, Id = 1 });
        var after = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.MockDomain, Id = 1, Fields = IommuTestCmdUnion.Of(new IommuTestMockDomain { OutStdevId = 2, OutHwptId = 3, OutIdevId = 4 }) });
        Expect.Equal(
            "{mock_domain.out_stdev_id=2, mock_domain.out_hwpt_id=3, mock_domain.out_idev_id=4}", IoctlText.Changes((uint)IommuCommand.TestCmd, before, after), "what MOCK_DOMAIN has answered");
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(24u)]
    [InlineData(uint.MaxValue)]
    public void An_unknown_op_has_the_fields_of_every_op(uint op)
    {
        var argument = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = op, Id = 1 });
        Expect.Equal($"{{size=72, op={op}, id=1, last=0}}", IoctlText.Decode((uint)IommuCommand.TestCmd, argument), "the text of an op that is not known");
        Expect.Equal($"{{size=72, op={op}}}", IoctlText.Decode((uint)IommuCommand.TestCmd, argument.AsSpan(0, 8)), "the text of an argument that ends behind its op");
    }
}
