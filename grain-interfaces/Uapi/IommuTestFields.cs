using System.Runtime.InteropServices;

namespace IommuFd.Uapi;

/// <summary>The members of the union in <c>struct iommu_test_cmd</c>, by the op that uses each.</summary>
internal static class IommuTestFields
{
    private static readonly int Union = (int)Marshal.OffsetOf<IommuTestCmd>(nameof(IommuTestCmd.Fields));

    private static readonly Dictionary<IommuTestOp, UapiField[]> ByOp = new()
    {
        [IommuTestOp.AddReserved] = Member<IommuTestAddReserved>("add_reserved"),

        // Only the other has flags.
        [IommuTestOp.MockDomain] = [.. Member<IommuTestMockDomain>("mock_domain").Where(field => field.Name != "dev_flags")],
        [IommuTestOp.MdCheckMap] = Member<IommuTestCheckMap>("check_map"),
        [IommuTestOp.MdCheckRefs] = Member<IommuTestCheckRefs>("check_refs"),
        [IommuTestOp.CreateAccess] = Member<IommuTestCreateAccess>("create_access"),
        [IommuTestOp.DestroyAccessPages] = Member<IommuTestDestroyAccessPages>("destroy_access_pages"),
        [IommuTestOp.AccessPages] = Member<IommuTestAccessPages>("access_pages"),
        [IommuTestOp.AccessRw] = Member<IommuTestAccessRw>("access_rw"),
        [IommuTestOp.SetTempMemoryLimit] = Member<IommuTestMemoryLimit>("memory_limit"),
        [IommuTestOp.MockDomainReplace] = Member<IommuTestMockDomainReplace>("mock_domain_replace"),
        [IommuTestOp.AccessReplaceIoas] = Member<IommuTestAccessReplaceIoas>("access_replace_ioas"),
        [IommuTestOp.MockDomainFlags] = Member<IommuTestMockDomain>("mock_domain_flags"),
        [IommuTestOp.Dirty] = Member<IommuTestDirty>("dirty"),
        [IommuTestOp.MdCheckIotlb] = Member<IommuTestCheckIotlb>("check_iotlb"),
        [IommuTestOp.TriggerIopf] = Member<IommuTestTriggerIopf>("trigger_iopf"),
        [IommuTestOp.DevCheckCache] = Member<IommuTestCheckDevCache>("check_dev_cache"),
        [IommuTestOp.TriggerVevent] = Member<IommuTestTriggerVevent>("trigger_vevent"),
        [IommuTestOp.PasidAttach] = Member<IommuTestPasidAttach>("pasid_attach"),
        [IommuTestOp.PasidReplace] = Member<IommuTestPasidAttach>("pasid_replace"),
        [IommuTestOp.PasidDetach] = Member<IommuTestPasidDetach>("pasid_detach"),
        [IommuTestOp.PasidCheckHwpt] = Member<IommuTestPasidCheck>("pasid_check"),
        [IommuTestOp.DmabufGet] = Member<IommuTestDmabufGet>("dmabuf_get"),
        [IommuTestOp.DmabufRevoke] = Member<IommuTestDmabufRevoke>("dmabuf_revoke"),
    };

    /// <summary>The fields of an argument: those of every op, and between them those of the argument's op, if there is such an op.</summary>
    /// <param name="all">The fields of every op.</param>
    /// <param name="argument">The argument.</param>
    public static IReadOnlyList<UapiField> In(IReadOnlyList<UapiField> all, ReadOnlySpan<byte> argument)
        => ByOp.TryGetValue((IommuTestOp)UapiStruct.Read<IommuTestCmd>(argument).Op, out var fields)
            ? [.. all.Where(field => field.Offset < Union), .. fields, .. all.Where(field => field.Offset > Union)]
            : all;

    private static UapiField[] Member<T>(string member)
        where T : unmanaged
        => [.. IoctlDescriptor.FieldsOf<T>(Union).Select(field => field with { Member = member })];
}
