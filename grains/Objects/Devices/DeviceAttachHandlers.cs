using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Emulation;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Devices;

// What the kernel's device.c does around iommufd_device_attach, _replace and _detach. Each has the same course: decide by the table
// what must be true and what must change; change the IOAS in one call, which makes all of it or nothing; then move the holds in one
// step that can't fail. So a failure leaves no trace, and whoever looks in between sees the attachment before or after, never none.
//
// A device that is attached to an IOAS takes the first HWPT made for that which it fits (an automatic one), or has one made.

/// <summary>Attaches devices to page tables, moves them, and detaches them.</summary>
internal static class DeviceAttachHandlers
{
    private delegate ValueTask<OperationResult> AttachStep(IoctlScope scope, DeviceEntry device, HwptEntry hwpt, bool isNew);

    /// <summary><c>iommufd_device_attach</c>. Answers the HWPT.</summary>
    public static ValueTask<OperationResult> AttachAsync(IoctlScope scope, DeviceEntry device, uint pageTable)
        => ChangeAsync(scope, device, pageTable, AttachToAsync);

    /// <summary><c>iommufd_device_replace</c>. Answers the HWPT.</summary>
    public static ValueTask<OperationResult> ReplaceAsync(IoctlScope scope, DeviceEntry device, uint pageTable)
        => ChangeAsync(scope, device, pageTable, ReplaceByAsync);

    /// <summary><c>iommufd_device_detach</c>.</summary>
    public static async ValueTask<OperationResult> DetachAsync(IoctlScope scope, DeviceEntry device)
    {
        if (device.Hwpt is not { } hwpt)
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.DeviceNotAttached, device);
        }

        var group = device.Group;
        group.Attached.Remove(device);
        group.Hwpt = group.Attached.Count == 0 ? null : group.Hwpt;
        device.Detach();
        await LeaveAsync(scope, hwpt, [device]);
        return default;
    }

    // iommufd_device_change_pt.
    private static async ValueTask<OperationResult> ChangeAsync(IoctlScope scope, DeviceEntry device, uint pageTable, AttachStep step)
    {
        switch (scope.Context.Objects.Find(pageTable))
        {
            case null:
                return OperationResult.NotFound(scope.Context.Objects, pageTable);

            case HwptEntry hwpt:
                return await step(scope, device, hwpt, isNew: false);

            case IoasEntry ioas:
                return await AutoAsync(scope, device, ioas, step);

            case var other:
                return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.NotAPageTable, other);
        }
    }

    // iommufd_device_auto_get_domain: EINVAL means that the device does not fit, so that the next one is tried; anything else is the answer.
    private static async ValueTask<OperationResult> AutoAsync(IoctlScope scope, DeviceEntry device, IoasEntry ioas, AttachStep step)
    {
        foreach (var hwpt in ioas.AutoHwpts.ToArray())
        {
            var result = await step(scope, device, hwpt, isNew: false);
            if (result.Errno != Errno.EINVAL)
            {
                return result;
            }
        }

        var objects = scope.Context.Objects;
        if (objects.Reserve((id, serial) => new HwptEntry(id, serial, ioas, device.Device, IommuHwptAllocFlags.None, isAuto: true)) is not { } made)
        {
            return OperationResult.Fail(Errno.EBUSY, DiagnosticReason.NoFreeId);
        }

        var attached = await step(scope, device, made, isNew: true);
        if (!attached.Succeeded)
        {
            objects.Abort(made);
        }

        return attached;
    }

    // iommufd_hw_pagetable_attach.
    private static async ValueTask<OperationResult> AttachToAsync(IoctlScope scope, DeviceEntry device, HwptEntry hwpt, bool isNew)
    {
        var group = device.Group;
        if (device.Hwpt is not null)
        {
            return OperationResult.Fail(Errno.EBUSY, DiagnosticReason.DeviceAttached, device);
        }

        if (group.Hwpt is { } other && other != hwpt)
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.GroupAttachedElsewhere, other);
        }

        // The first device of a group attaches all of it. A further one brings its own regions, and may have been bound since.
        List<IoasChange> changes = [.. Reserve([device]), .. AttachTo(hwpt, group.Attached.Count == 0 ? group.Bound : [device])];

        if (isNew)
        {
            changes = [HwptHandlers.Allocation(hwpt, device.Device, null), .. changes, new AddDomain(hwpt.Id)];
        }

        var result = await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
        if (!result.Succeeded)
        {
            return result;
        }

        Publish(scope, hwpt, isNew);
        group.Attached.Add(device);
        group.Hwpt = hwpt;
        device.Attach(hwpt);
        return new OperationResult(Errno.None, hwpt.Id);
    }

    // iommufd_device_do_replace: the group moves as a whole.
    private static async ValueTask<OperationResult> ReplaceByAsync(IoctlScope scope, DeviceEntry device, HwptEntry hwpt, bool isNew)
    {
        List<IoasChange> changes = isNew ? [HwptHandlers.Allocation(hwpt, device.Device, null), new AddDomain(hwpt.Id)] : [];
        if (device.Hwpt is not { } before)
        {
            return await RefuseAsync(scope, device, hwpt, changes);
        }

        if (before == hwpt)
        {
            return new OperationResult(Errno.None, hwpt.Id);
        }

        var group = device.Group;
        var moves = before.Ioas != hwpt.Ioas;
        changes.AddRange(moves ? Reserve(group.Attached) : []);
        changes.AddRange(AttachTo(hwpt, group.Bound));
        var result = await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
        if (!result.Succeeded)
        {
            return result;
        }

        Publish(scope, hwpt, isNew);
        group.Hwpt = hwpt;
        group.Attached.ForEach(attached => attached.Attach(hwpt));
        await LeaveAsync(scope, before, moves ? group.Attached : []);
        return new OperationResult(Errno.None, hwpt.Id);
    }

    // Linux finds out that there is nothing to replace only when the page table is made, so that what is wrong with that comes first.
    private static async ValueTask<OperationResult> RefuseAsync(IoctlScope scope, DeviceEntry device, HwptEntry hwpt, List<IoasChange> changes)
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

        return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.DeviceNotAttached, device);
    }

    // What devices leave behind at a page table that they don't hold any more. It can't fail, unless the IOAS's grain has failed, and with it all
    // that would be taken away.
    private static async ValueTask LeaveAsync(IoctlScope scope, HwptEntry hwpt, IEnumerable<DeviceEntry> gone)
    {
        var isLast = hwpt is { IsAuto: true, Users: 1 };
        List<IoasChange> changes = [.. gone.Where(device => Regions(device).Length > 0).Select(device => new RemoveReserved(device.Id))];
        if (isLast)
        {
            changes.Add(new RemoveDomain(hwpt.Id));
        }

        await IoasHandlers.ChangeAsync(scope, hwpt.Ioas, changes);
        if (isLast)
        {
            hwpt.Ioas.RemoveAuto(hwpt);
            await scope.RemoveAsync(hwpt);
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

    private static IEnumerable<IoasChange> Reserve(IEnumerable<DeviceEntry> devices)
        => devices.Where(device => Regions(device).Length > 0).Select(device => new ReserveRegions(device.Id, Regions(device)));

    private static IEnumerable<IoasChange> AttachTo(HwptEntry hwpt, IEnumerable<DeviceEntry> devices)
        => devices.Select(device => new AttachToDomain(hwpt.Id, device.Device));

    private static IovaRange[] Regions(DeviceEntry device) => IommuDriver.Of(device.Device).ReservedRegions(device.Device);
}
