using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

// What the kernel's device.c does around iommufd_device_attach, _replace and _detach. Each has the same course: decide by the table
// what must be true and what must change; change the IOAS in one call, which makes all of it or nothing; then move the holds in one
// step that can't fail. So a failure leaves no trace, and an inspection in between sees the old attachment or the new one, never none.
//
// A device that is attached to an IOAS takes the first HWPT made for that which it fits (an automatic one), or has one made.

/// <summary>Attaches devices, or PASIDs of theirs, to page tables, moves them, and detaches them.</summary>
internal static class DeviceAttachHandlers
{
    private delegate ValueTask<OperationResult> AttachStep(IoctlScope scope, DeviceEntry device, uint pasid, HwptEntry hwpt, bool isNew);

    /// <summary><c>iommufd_device_attach</c>. Answers the HWPT.</summary>
    public static ValueTask<OperationResult> AttachAsync(IoctlScope scope, DeviceEntry device, uint pasid, uint pageTable)
        => ChangeAsync(scope, device, pasid, pageTable, AttachToAsync);

    /// <summary><c>iommufd_device_replace</c>. Answers the HWPT.</summary>
    public static ValueTask<OperationResult> ReplaceAsync(IoctlScope scope, DeviceEntry device, uint pasid, uint pageTable)
        => ChangeAsync(scope, device, pasid, pageTable, ReplaceByAsync);

    /// <summary><c>iommufd_device_detach</c>.</summary>
    public static async ValueTask<OperationResult> DetachAsync(IoctlScope scope, DeviceEntry device, uint pasid)
    {
        if (device.HwptAt(pasid) is not { } hwpt)
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.DeviceNotAttached, device);
        }

        device.Detach(pasid);
        await LeaveAsync(scope, hwpt, users: 1, pasid == DeviceGroup.NoPasid ? [device] : []);
        return default;
    }

    // iommufd_device_change_pt.
    private static ValueTask<OperationResult> ChangeAsync(IoctlScope scope, DeviceEntry device, uint pasid, uint pageTable, AttachStep step)
        => scope.Context.Objects.Find(pageTable) switch
        {
            null => ValueTask.FromResult(OperationResult.NotFound(scope.Context.Objects, pageTable)),
            HwptEntry hwpt => step(scope, device, pasid, hwpt, isNew: false),
            IoasEntry ioas => AutoAsync(scope, device, pasid, ioas, step),
            var other => ValueTask.FromResult(OperationResult.Fail(Errno.EINVAL, DiagnosticReason.NotAPageTable, other)),
        };

    // iommufd_device_auto_get_domain: EINVAL means that the device does not fit, so that the next one is tried; anything else is the answer.
    private static async ValueTask<OperationResult> AutoAsync(IoctlScope scope, DeviceEntry device, uint pasid, IoasEntry ioas, AttachStep step)
    {
        foreach (var hwpt in ioas.AutoHwpts.ToArray())
        {
            var result = await step(scope, device, pasid, hwpt, isNew: false);
            if (result.Errno != Errno.EINVAL)
            {
                return result;
            }
        }

        var objects = scope.Context.Objects;
        if (objects.Reserve((id, serial) => new HwptEntry(id, serial, ioas, device.Device.Iommu, IommuHwptAllocFlags.None, isAuto: true)) is not { } made)
        {
            return objects.NoRoom();
        }

        var attached = await step(scope, device, pasid, made, isNew: true);
        if (!attached.Succeeded)
        {
            objects.Abort(made);
        }

        return attached;
    }

    // iommufd_hw_pagetable_attach.
    private static async ValueTask<OperationResult> AttachToAsync(IoctlScope scope, DeviceEntry device, uint pasid, HwptEntry hwpt, bool isNew)
    {
        var group = device.Group;
        if (device.HwptAt(pasid) is not null)
        {
            return OperationResult.Fail(Errno.EBUSY, DiagnosticReason.DeviceAttached, device);
        }

        var shared = group.HwptAt(pasid);
        if (shared is not null && shared != hwpt)
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.GroupAttachedElsewhere, shared);
        }

        if (!IsPasidCompatible(group, pasid, hwpt))
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.PasidIncompatible, hwpt);
        }

        // The first device of a group attaches all of it. A further one brings its own regions, and may have been bound since.
        List<IoasChange> changes = [.. Reserve(pasid, [device]), .. AttachTo(hwpt, pasid, device, shared is null ? group.Bound : [device])];
        if (isNew)
        {
            changes = [HwptHandlers.Allocation(hwpt, device.Device, null), .. changes, new AddDomain(hwpt.Id)];
        }

        changes.Add(new JoinDomain(hwpt.Id));
        var result = await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
        if (!result.Succeeded)
        {
            return result;
        }

        Publish(scope, hwpt, isNew);
        device.Attach(pasid, hwpt);
        return new OperationResult(Errno.None, hwpt.Id);
    }

    // iommufd_device_do_replace: the group moves as a whole.
    private static async ValueTask<OperationResult> ReplaceByAsync(IoctlScope scope, DeviceEntry device, uint pasid, HwptEntry hwpt, bool isNew)
    {
        List<IoasChange> changes = isNew ? [HwptHandlers.Allocation(hwpt, device.Device, null), new AddDomain(hwpt.Id)] : [];
        var group = device.Group;
        if (device.HwptAt(pasid) is not { } before)
        {
            return await RefuseAsync(scope, hwpt, changes, OperationResult.Fail(Errno.EINVAL, DiagnosticReason.DeviceNotAttached, device));
        }

        if (before == hwpt)
        {
            return new OperationResult(Errno.None, hwpt.Id);
        }

        if (!IsPasidCompatible(group, pasid, hwpt))
        {
            return await RefuseAsync(scope, hwpt, changes, OperationResult.Fail(Errno.EINVAL, DiagnosticReason.PasidIncompatible, hwpt));
        }

        var attached = group.AttachedAt(pasid);
        var moves = before.Ioas != hwpt.Ioas && pasid == DeviceGroup.NoPasid;
        changes.AddRange(moves ? Reserve(pasid, attached) : []);
        changes.AddRange(AttachTo(hwpt, pasid, device, group.Bound));
        changes.AddRange(attached.Select(_ => new JoinDomain(hwpt.Id)));

        // What is left in the same IOAS goes in the same call.
        var leavesAfterwards = before.Ioas != hwpt.Ioas || before is { IsAuto: true };
        changes.AddRange(leavesAfterwards ? [] : attached.Select(_ => new LeaveDomain(before.Id)));
        var result = await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
        if (!result.Succeeded)
        {
            return result;
        }

        Publish(scope, hwpt, isNew);
        attached.ForEach(member => member.Attach(pasid, hwpt));
        if (leavesAfterwards)
        {
            await LeaveAsync(scope, before, attached.Count, moves ? attached : []);
        }

        return new OperationResult(Errno.None, hwpt.Id);
    }

    // Linux finds out that nothing can be replaced only when the page table is made, so that what is wrong with that comes first.
    private static async ValueTask<OperationResult> RefuseAsync(IoctlScope scope, HwptEntry hwpt, List<IoasChange> changes, OperationResult refusal)
    {
        if (changes.Count > 0)
        {
            var made = await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
            if (!made.Succeeded)
            {
                return made;
            }

            await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, [new RemoveDomain(hwpt.Id)]);
        }

        return refusal;
    }

    // iommufd_hwpt_pasid_compat: where PASIDs are attached, the device itself and each of them need page tables that were made for that.
    private static bool IsPasidCompatible(DeviceGroup group, uint pasid, HwptEntry hwpt)
    {
        var isMadeForPasids = hwpt.Flags.HasFlag(IommuHwptAllocFlags.Pasid);
        return pasid == DeviceGroup.NoPasid
            ? isMadeForPasids || !group.HasPasids
            : isMadeForPasids && group.HwptAt(DeviceGroup.NoPasid)?.Flags.HasFlag(IommuHwptAllocFlags.Pasid) != false;
    }

    // What devices leave behind at a page table that they don't hold any more. It can't fail, unless the IOAS's grain has failed, and with it all
    // that would be taken away.
    private static async ValueTask LeaveAsync(IoctlScope scope, HwptEntry hwpt, int users, IEnumerable<DeviceEntry> gone)
    {
        var isLast = hwpt is { IsAuto: true, Users: 1 };
        List<IoasChange> changes = [.. Enumerable.Repeat(new LeaveDomain(hwpt.Id), users), .. gone.Where(device => Regions(device).Length > 0).Select(device => new RemoveReserved(device.Id))];
        if (isLast)
        {
            changes.Add(new RemoveDomain(hwpt.Id));
        }

        await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
        if (isLast)
        {
            hwpt.Ioas.RemoveAuto(hwpt);
            await scope.EndAsync(hwpt);
        }
    }

    private static void Publish(IoctlScope scope, HwptEntry hwpt, bool isNew)
    {
        if (isNew)
        {
            HwptHandlers.Publish(scope, hwpt);
            hwpt.Ioas.AddAuto(hwpt);
        }
    }

    // A device's regions count for itself; Linux leaves them out for PASIDs.
    private static IEnumerable<IoasChange> Reserve(uint pasid, IEnumerable<DeviceEntry> devices) => pasid == DeviceGroup.NoPasid
        ? devices.Where(device => Regions(device).Length > 0).Select(device => new ReserveRegions(device.Id, Regions(device)))
        : [];

    // Other devices of the group that have no PASIDs don't mind where one leads.
    private static IEnumerable<IoasChange> AttachTo(HwptEntry hwpt, uint pasid, DeviceEntry device, IEnumerable<DeviceEntry> members)
        => members
            .Where(member => pasid == DeviceGroup.NoPasid || member == device || IommuDriver.Of(member.Device).PasidWidth(member.Device) > 0)
            .Select(member => new AttachToDomain(hwpt.Id, member.Device, pasid));

    private static IovaRange[] Regions(DeviceEntry device) => IommuDriver.Of(device.Device).ReservedRegions(device.Device);
}
