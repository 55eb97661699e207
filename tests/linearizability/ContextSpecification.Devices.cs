using IommuFd.Uapi;
using static IommuFd.Uapi.Errno;

namespace IommuFd.Linearizability;

// The selftest's devices and page tables. A device attached to an IOAS uses the IOAS's automatic page table, or one is allocated; it goes
// with its last device. All devices are alike here, so one page table fits all.

internal sealed partial class ContextSpecification
{
    private static (ContextState, IoctlAnswer) TestCommand(ContextState state, IommuTestCmd cmd) => (IommuTestOp)cmd.Op switch
    {
        IommuTestOp.MockDomain => MockDomain(state, cmd),
        IommuTestOp.MockDomainReplace => MockDomainReplace(state, cmd),
        IommuTestOp.MdCheckMap => CheckMap(state, cmd),
        IommuTestOp.MdCheckIotlb => CheckIotlb(state, cmd),
        IommuTestOp.DevCheckCache => CheckDeviceCache(state, cmd),
        _ => throw OutOfScope($"op {cmd.Op} of IOMMU_TEST_CMD"),
    };

    // Ids are taken in the order owner, device, page table. The device can be looked up before it is attached, its owner can't.
    private static (ContextState, IoctlAnswer) MockDomain(ContextState state, IommuTestCmd cmd)
    {
        var owner = state.FreeId;
        var device = state.With(owner, new SelftestObject(0)).FreeId;
        var bound = state.With(owner, new SelftestObject(device)).With(device, new DeviceObject(0, 0));
        var (attached, hwpt, errno) = cmd.Id == owner ? (bound, 0, ENOENT) : Attach(bound, device, cmd.Id);
        if (errno != None)
        {
            return Fail(state, errno);
        }

        var made = cmd.Fields.As<IommuTestMockDomain>() with { OutStdevId = owner, OutHwptId = hwpt, OutIdevId = device };
        cmd.Fields.Set(in made);
        return Succeed(attached, in cmd);
    }

    private static (ContextState, IoctlAnswer) MockDomainReplace(ContextState state, IommuTestCmd cmd)
    {
        if (state.Find<SelftestObject>(cmd.Id) is not { Device: var device })
        {
            return Fail(state, ENOENT);
        }

        var (next, hwpt, errno) = Attach(state, device, cmd.Fields.As<IommuTestMockDomainReplace>().PtId);
        if (errno != None)
        {
            return Fail(state, errno);
        }

        cmd.Fields.Set(new IommuTestMockDomainReplace { PtId = hwpt });
        return Succeed(next, in cmd);
    }

    // Checks, by pages of the IOMMU, whether IOVAs lead to the memory that the caller expects.
    private static (ContextState, IoctlAnswer) CheckMap(ContextState state, IommuTestCmd cmd)
    {
        if (state.Find<HwptObject>(cmd.Id) is not { } hwpt)
        {
            return Fail(state, ENOENT);
        }

        var (iova, length, address) = cmd.Fields.As<IommuTestCheckMap>() is var check ? (check.Iova, check.Length, check.Uptr) : default;
        if ((iova | length | address) % IommuPage != 0 || address + length < address)
        {
            return Fail(state, EINVAL);
        }

        var areas = state.Find<IoasObject>(hwpt.Ioas)!.Areas;
        for (ulong done = 0; done < length; done += IommuPage)
        {
            if (areas.FirstOrDefault(area => area.Start <= iova + done && area.Last >= iova + done) is not { } area
                || area.Address + (iova + done - area.Start) != address + done)
            {
                return Fail(state, EINVAL);
            }
        }

        return (state, new IoctlAnswer(None));
    }

    // Attaches a device to a page table, or to an IOAS through an automatic one, then leaves the previous page table: the new one exists
    // before the old one goes.
    private static (ContextState Next, uint Hwpt, Errno Errno) Attach(ContextState state, uint device, uint pageTable)
    {
        var attached = state.Find<DeviceObject>(device)!;
        var before = attached.Hwpt;
        switch (state.Find(pageTable))
        {
            case null:
                return (state, 0, ENOENT);

            case HwptObject or NestedHwptObject when before == pageTable:
                return (state, pageTable, None);

            case NestedHwptObject nested when !CanUse(state, device, nested):
                return (state, 0, ENOENT);

            case HwptObject or NestedHwptObject:
                return (Leave(state.With(device, attached with { Hwpt = pageTable }), before), pageTable, None);

            case IoasObject when state.Objects.FirstOrDefault(pair => pair.Object is HwptObject { IsAuto: true } hwpt && hwpt.Ioas == pageTable) is { Id: > 0 } auto:
                return (Leave(state.With(device, attached with { Hwpt = auto.Id }), before), auto.Id, None);

            case IoasObject when CheckMirror(state, pageTable) is var errno && errno != None:
                return (state, 0, errno);

            case IoasObject:
                var made = state.FreeId;
                return (Leave(state.With(made, new HwptObject(pageTable, IsAuto: true, IsNestParent: false)).With(device, attached with { Hwpt = made }), before), made, None);

            default:
                return (state, 0, EINVAL);
        }
    }

    // Whether a page table can map what an IOAS maps.
    private static Errno CheckMirror(ContextState state, uint ioas)
        => state.Find<IoasObject>(ioas) is { } table && AreAligned(table, IommuPage) && table.Areas.All(area => area.Start >= ApertureStart && area.Last <= ApertureLast)
            ? None
            : EADDRINUSE;

    private static ContextState Unbind(ContextState state, uint device) => Leave(EndVdevice(state, device).With(device, null), state.Find<DeviceObject>(device)!.Hwpt);

    private static ContextState Leave(ContextState state, uint hwpt)
        => state.Find<HwptObject>(hwpt) is { IsAuto: true } && !state.IsHeld(hwpt) ? state.With(hwpt, null) : state;
}
