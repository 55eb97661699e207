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
// A nested HWPT has a grain of its own, which is told of each attachment; what the IOAS of its parent has of the device are the reserved regions.
//
// A device that is attached to an IOAS takes the first HWPT made for that which it fits (an automatic one), or has one made.

/// <summary>Attaches devices, or PASIDs of theirs, to page tables, moves them, and detaches them.</summary>
internal static class DeviceAttachHandlers
{
    private static readonly IEnumerable<IoasChange> Nothing = [];

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
            return About(Errno.EINVAL, DiagnosticReason.DeviceNotAttached, pasid, device);
        }

        device.Detach(pasid);
        if (device.Group.HwptAt(pasid) is null)
        {
            Block(Members(device.Group.Bound, device, pasid), pasid);
        }

        await DeviceFaultHandlers.DiscardAsync(scope, hwpt, device, pasid);
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
        var iommu = IommuDriver.Of(device.Device).InstanceOf(device.Device);
        if (objects.Reserve((id, serial) => new HwptPagingEntry(id, serial, ioas, iommu, IommuHwptAllocFlags.None, isAuto: true)) is not { } made)
        {
            return objects.NoRoom();
        }

        var attached = await step(scope, device, pasid, made, isNew: true);
        if (attached.Succeeded)
        {
            return attached;
        }

        // Nobody knows the HWPT that was made in vain: what is said of it is said of the IOAS.
        objects.Abort(made);
        return attached.Diagnostic is { } diagnostic && diagnostic.ObjectId == made.Id ? attached with { Diagnostic = Failure.About(diagnostic, ioas) } : attached;
    }

    // iommufd_hw_pagetable_attach.
    private static async ValueTask<OperationResult> AttachToAsync(IoctlScope scope, DeviceEntry device, uint pasid, HwptEntry hwpt, bool isNew)
    {
        var group = device.Group;
        if (device.HwptAt(pasid) is not null)
        {
            return About(Errno.EBUSY, DiagnosticReason.DeviceAttached, pasid, device);
        }

        var shared = group.HwptAt(pasid);
        if (shared is not null && shared != hwpt)
        {
            return About(Errno.EINVAL, DiagnosticReason.GroupAttachedElsewhere, pasid, shared);
        }

        if (FindPasidIncompatible(group, pasid, hwpt) is { } incompatible)
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.PasidIncompatible, incompatible);
        }

        // The first device of a group attaches all of it. A further one brings its own regions, and may have been bound since.
        var members = Members(shared is null ? group.Bound : [device], device, pasid);
        var noted = Note(hwpt, pasid, members, out var notes);
        if (!noted.Succeeded)
        {
            return noted;
        }

        List<IoasChange> changes =
        [
            .. isNew ? [HwptHandlers.Allocation(hwpt.Paging, device.Device, null)] : Nothing,
            .. Reserve(pasid, [device]),
            .. AttachTo(hwpt, pasid, members),
            .. isNew ? [new AddDomain(hwpt.Id)] : Nothing,
            .. Join(hwpt, 1),
        ];

        var result = await ChangeAsync(scope, hwpt, changes, 1, Unreserve(pasid, [device]));
        if (!result.Succeeded)
        {
            return result;
        }

        Publish(scope, hwpt, isNew);
        Remember(members, notes);
        device.Attach(pasid, hwpt);
        return new OperationResult(Errno.None, hwpt.Id);
    }

    // iommufd_device_do_replace: the group moves as a whole.
    private static async ValueTask<OperationResult> ReplaceByAsync(IoctlScope scope, DeviceEntry device, uint pasid, HwptEntry hwpt, bool isNew)
    {
        List<IoasChange> changes = isNew ? [HwptHandlers.Allocation(hwpt.Paging, device.Device, null), new AddDomain(hwpt.Id)] : [];
        var group = device.Group;
        if (device.HwptAt(pasid) is not { } before)
        {
            return await RefuseAsync(scope, hwpt, changes, About(Errno.EINVAL, DiagnosticReason.DeviceNotAttached, pasid, device));
        }

        if (before == hwpt)
        {
            return new OperationResult(Errno.None, hwpt.Id);
        }

        if (FindPasidIncompatible(group, pasid, hwpt) is { } incompatible)
        {
            return await RefuseAsync(scope, hwpt, changes, OperationResult.Fail(Errno.EINVAL, DiagnosticReason.PasidIncompatible, incompatible));
        }

        var members = Members(group.Bound, device, pasid);
        var noted = Note(hwpt, pasid, members, out var notes);
        if (!noted.Succeeded)
        {
            return await RefuseAsync(scope, hwpt, changes, noted);
        }

        var attached = group.AttachedAt(pasid);
        var moves = before.Ioas != hwpt.Ioas && pasid == DeviceGroup.NoPasid;
        changes.AddRange(moves ? Reserve(pasid, attached) : []);
        changes.AddRange(AttachTo(hwpt, pasid, members));
        changes.AddRange(Join(hwpt, attached.Count));

        // What is left in the same IOAS goes in the same call.
        var leavesAfterwards = before.IsNested || hwpt.IsNested || before.Ioas != hwpt.Ioas || before.Paging.IsAuto;
        changes.AddRange(leavesAfterwards ? [] : attached.Select(_ => new LeaveDomain(before.Id)));
        var result = await ChangeAsync(scope, hwpt, changes, attached.Count, moves ? Unreserve(pasid, attached) : []);
        if (!result.Succeeded)
        {
            return result;
        }

        Publish(scope, hwpt, isNew);
        Remember(members, notes);
        attached.ForEach(member => member.Attach(pasid, hwpt));
        foreach (var member in attached)
        {
            await DeviceFaultHandlers.DiscardAsync(scope, before, member, pasid);
        }

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

    // iommufd_hwpt_pasid_compat: where PASIDs are attached, the device itself and each of them need page tables that were made for that. The one that was
    // not; null where all were.
    private static HwptEntry? FindPasidIncompatible(DeviceGroup group, uint pasid, HwptEntry hwpt)
    {
        if (pasid == DeviceGroup.NoPasid && !group.HasPasids)
        {
            return null;
        }

        var own = pasid == DeviceGroup.NoPasid ? null : group.HwptAt(DeviceGroup.NoPasid);
        return !hwpt.Flags.HasFlag(IommuHwptAllocFlags.Pasid) ? hwpt : own?.Flags.HasFlag(IommuHwptAllocFlags.Pasid) == false ? own : null;
    }

    private static OperationResult About(Errno errno, DiagnosticReason reason, uint pasid, ObjectEntry about)
        => new(errno, default, Failure.Because(reason, pasid, about: about.Ref));

    // Makes the changes of the IOAS, then tells a nested HWPT of its new users. What that leaves to be undone can't fail.
    private static async ValueTask<OperationResult> ChangeAsync(IoctlScope scope, HwptEntry hwpt, List<IoasChange> changes, int users, IEnumerable<IoasChange> undo)
    {
        var result = await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
        for (var told = 0; result.Succeeded && hwpt.IsNested && told < users; told++)
        {
            result = await scope.Grains.HoldAsync(hwpt);
            if (!result.Succeeded)
            {
                await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, [.. undo]);
            }
        }

        return result;
    }

    // What devices leave behind at a page table that they don't hold any more. It can't fail, unless the grain that has it has failed, and with it all
    // that would be taken away.
    private static async ValueTask LeaveAsync(IoctlScope scope, HwptEntry hwpt, int users, IEnumerable<DeviceEntry> gone)
    {
        for (var left = 0; hwpt.IsNested && left < users; left++)
        {
            await scope.Grains.DropAsync(hwpt);
        }

        var isLast = hwpt is HwptPagingEntry { IsAuto: true, Users: 1 };
        List<IoasChange> changes = [.. hwpt.IsNested ? [] : Enumerable.Repeat(new LeaveDomain(hwpt.Id), users), .. Unreserve(DeviceGroup.NoPasid, gone)];
        if (isLast)
        {
            changes.Add(new RemoveDomain(hwpt.Id));
        }

        await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
        if (isLast)
        {
            hwpt.Ioas.RemoveAuto(hwpt.Paging);
            await scope.EndAsync(hwpt);
        }
    }

    // attach_dev and set_dev_pasid, as far as they are not a domain's: decided first, since they may fail, and remembered when all else is done. Where the
    // device does not fit a domain at all, that refuses.
    private static OperationResult Note(HwptEntry hwpt, uint pasid, List<DeviceEntry> members, out List<DeviceAttachment?> notes)
    {
        notes = [];
        foreach (var member in members)
        {
            var iommu = IommuDriver.Of(member.Device);
            var (isOther, width) = (hwpt.Iommu != iommu.InstanceOf(member.Device), iommu.PasidWidth(member.Device));
            if (isOther || pasid >> width != 0)
            {
                return !hwpt.IsNested ? default
                    : isOther ? OperationResult.Fail(Errno.EINVAL, DiagnosticReason.DeviceIncompatible, hwpt)
                    : new OperationResult(Errno.EINVAL, default, Failure.Because(DiagnosticReason.NoSuchPasid, pasid, (ulong)width, member.Ref));
            }

            var errno = iommu.Attach(new AttachmentTarget(pasid, IsBlocked: false, hwpt.ViommuId, member.Vdevice?.IdOn(hwpt.ViommuId)), member.Attachment, out var after);
            if (errno != Errno.None)
            {
                member.Attachment = after;
                return errno == Errno.ENOENT
                    ? new OperationResult(errno, default, Failure.Because(DiagnosticReason.NoVdevice, hwpt.ViommuId.Value, about: member.Ref))
                    : OperationResult.Fail(errno, DiagnosticReason.SelftestFailure, member);
            }

            notes.Add(after);
        }

        return default;
    }

    // Detaching attaches to nothing, which can't fail.
    private static void Block(List<DeviceEntry> members, uint pasid)
    {
        foreach (var member in members)
        {
            IommuDriver.Of(member.Device).Attach(new AttachmentTarget(pasid, IsBlocked: true, default, null), member.Attachment, out var after);
            member.Attachment = after;
        }
    }

    private static void Remember(List<DeviceEntry> members, List<DeviceAttachment?> notes)
    {
        for (var i = 0; i < notes.Count; i++)
        {
            members[i].Attachment = notes[i];
        }
    }

    private static void Publish(IoctlScope scope, HwptEntry hwpt, bool isNew)
    {
        if (isNew)
        {
            HwptHandlers.Publish(scope, hwpt.Paging);
            hwpt.Ioas.AddAuto(hwpt.Paging);
        }
    }

    // A device's regions count for itself; Linux leaves them out for PASIDs.
    private static IEnumerable<IoasChange> Reserve(uint pasid, IEnumerable<DeviceEntry> devices) => pasid == DeviceGroup.NoPasid
        ? devices.Where(device => Regions(device).Length > 0).Select(device => new ReserveRegions(device.Id, Regions(device)))
        : [];

    private static IEnumerable<IoasChange> Unreserve(uint pasid, IEnumerable<DeviceEntry> devices) => pasid == DeviceGroup.NoPasid
        ? devices.Where(device => Regions(device).Length > 0).Select(device => new RemoveReserved(device.Id))
        : [];

    // Other devices of the group that have no PASIDs don't mind where one leads.
    private static List<DeviceEntry> Members(List<DeviceEntry> bound, DeviceEntry device, uint pasid)
        => pasid == DeviceGroup.NoPasid ? bound : bound.FindAll(member => member == device || IommuDriver.Of(member.Device).PasidWidth(member.Device) > 0);

    // Of a nested HWPT, the IOAS of its parent knows nothing.
    private static IEnumerable<IoasChange> AttachTo(HwptEntry hwpt, uint pasid, List<DeviceEntry> members)
        => hwpt.IsNested ? [] : members.Select(member => new AttachToDomain(hwpt.Id, member.Device, pasid));

    private static IEnumerable<IoasChange> Join(HwptEntry hwpt, int users)
        => hwpt.IsNested ? [] : Enumerable.Repeat(new JoinDomain(hwpt.Id), users);

    private static IovaRange[] Regions(DeviceEntry device) => IommuDriver.Of(device.Device).ReservedRegions(device.Device);
}
