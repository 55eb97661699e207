using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.HwQueues;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Objects.NestedHwpts;
using IommuFd.Grains.Objects.Vdevices;
using IommuFd.Grains.Objects.Veventqs;
using IommuFd.Grains.Objects.Viommus;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Graph;

/// <summary>What must hold of a context's objects between any two requests.</summary>
internal static class GraphInvariants
{
    /// <summary>The users counts are what the table and the holds make them: each object has 1 for the table, and 1 for each hold on it.</summary>
    public static void CheckUsers(OpenContext context, string after)
    {
        var objects = context.Objects.After(0).ToList();
        Expect.Equal(context.Objects.Count, objects.Count, $"objects of the table {after}");
        var owned = objects.Concat<HoldOwner>(context.Model.HoldingDrivers).SelectMany(Held).ToList();
        var holding = objects.SelectMany(Holders).ToList();
        Expect.That(new HashSet<Hold>(owned).SetEquals(holding) && owned.Count == holding.Count, $"The holds that owners have are not those that objects have {after}.");
        Expect.Equal(objects.Count + holding.Count, objects.Sum(entry => entry.Users), $"the sum of users {after}");
        foreach (var entry in objects)
        {
            Expect.Equal(1 + Holders(entry).Count(), entry.Users, $"users of {entry.Ref} {after}");
        }
    }

    /// <summary>Every grain that knows an object derives the users count that the table has.</summary>
    public static void CheckGrainUsers(OpenContext context, string after)
    {
        foreach (var entry in context.Objects.After(0))
        {
            var users = context.ObjectGrains.UsersAsync(entry).AsTask();
            Expect.That(users.IsCompletedSuccessfully, $"The grain of {entry.Ref} did not tell its users at once {after}.");
            if (users.Result is { } counted)
            {
                Expect.Equal(entry.Users, counted, $"users of {entry.Ref}, by its grain, {after}");
            }
        }
    }

    /// <summary>Devices, page tables and accesses agree about who is attached to whom.</summary>
    /// <param name="context">The context.</param>
    /// <param name="after">After what.</param>
    /// <param name="driversHold">Whether drivers hold page tables for themselves, so that an automatic one may outlive its last device.</param>
    public static void CheckAttachments(OpenContext context, string after, bool driversHold = false)
    {
        var objects = context.Objects.After(0).ToList();
        foreach (var hwpt in objects.OfType<HwptPagingEntry>())
        {
            var attached = objects.OfType<DeviceEntry>().Sum(device => device.AttachedPasids.Count(pasid => device.HwptAt(pasid) == hwpt));
            var guests = objects.Count(entry => entry is ViommuEntry viommu && viommu.Hwpt == hwpt || entry is HwptNestedEntry nested && nested.Base == hwpt);
            Expect.Equal(
                1 + attached + guests + HoldsOfDrivers(hwpt), hwpt.Users, $"users of {hwpt.Ref}, to which {attached} devices are attached, and on which {guests} objects nest, {after}");
            Expect.That(!hwpt.IsAuto || attached > 0 || driversHold, $"The automatic {hwpt.Ref} has no device {after}.");
            Expect.Equal(hwpt.IsAuto, hwpt.Ioas.AutoHwpts.Contains(hwpt), $"whether {hwpt.Ref} is among those that its IOAS offers {after}");
        }

        foreach (var ioas in objects.OfType<IoasEntry>())
        {
            var (hwpts, accesses) = (objects.OfType<HwptPagingEntry>().Count(hwpt => hwpt.Ioas == ioas), objects.OfType<AccessEntry>().Count(access => access.Ioas == ioas));
            Expect.Equal(1 + hwpts + accesses + HoldsOfDrivers(ioas), ioas.Users, $"users of {ioas.Ref} with {hwpts} HWPTs and {accesses} accesses {after}");
            Expect.That(ioas.AutoHwpts.All(objects.Contains), $"{ioas.Ref} offers a HWPT that is gone {after}.");
        }

        foreach (var device in objects.OfType<DeviceEntry>())
        {
            var group = device.Group;
            Expect.Equal(2, device.Users, $"users of {device.Ref}, which its driver alone holds, {after}");
            Expect.That(group.Bound.Contains(device), $"The group of {device.Ref} does not know it {after}.");
            foreach (var pasid in device.AttachedPasids)
            {
                Expect.Equal(group.HwptAt(pasid), device.HwptAt(pasid), $"the HWPT of PASID {pasid} of {device.Ref} and of its group {after}");
                Expect.That(
                    !group.HasPasids || device.HwptAt(pasid)!.Flags.HasFlag(IommuHwptAllocFlags.Pasid),
                    $"PASID {pasid} of {device.Ref} is attached beside others to a HWPT that was not made for that {after}.");
            }

            Expect.That(group.Bound.All(objects.Contains), $"The group of {device.Ref} has a device that is gone {after}.");
        }
    }

    /// <summary>A guest's objects agree about who belongs to whom, and each counts those that do.</summary>
    public static void CheckGuests(OpenContext context, string after)
    {
        var objects = context.Objects.After(0).ToList();
        foreach (var viommu in objects.OfType<ViommuEntry>())
        {
            var parts = objects.Count(entry => entry is VdeviceEntry vdevice && vdevice.Viommu == viommu || entry is HwQueueEntry queue && queue.Viommu == viommu);
            var others = objects.Count(entry => entry is HwptNestedEntry nested && nested.Viommu == viommu || entry is VeventqEntry queue && queue.Viommu == viommu);
            Expect.Equal(1 + parts + others + HoldsOfDrivers(viommu), viommu.Users, $"users of {viommu.Ref} with {parts} parts and {others} other objects {after}");
            Expect.Sequence(
                objects.OfType<VeventqEntry>().Where(queue => queue.Viommu == viommu).OrderBy(queue => queue.EventType),
                viommu.Veventqs.OrderBy(queue => queue.Key).Select(queue => (VeventqEntry)queue.Value),
                $"event queues of {viommu.Ref} {after}");
        }

        foreach (var hwpt in objects.OfType<HwptNestedEntry>())
        {
            var attached = objects.OfType<DeviceEntry>().Sum(device => device.AttachedPasids.Count(pasid => device.HwptAt(pasid) == hwpt));
            Expect.Equal(1 + attached + HoldsOfDrivers(hwpt), hwpt.Users, $"users of {hwpt.Ref}, to which {attached} devices are attached, {after}");
        }

        foreach (var queue in objects.OfType<EventQueueEntry>())
        {
            var files = Holders(queue).Count(hold => hold.Owner is ContextReference && hold.Id == default);
            var reporters = objects.OfType<HwptEntry>().Count(hwpt => hwpt.FaultQueue == queue);
            Expect.That(files <= 1, $"{queue.Ref} has {files} files {after}.");
            Expect.Equal(1 + files + reporters + HoldsOfDrivers(queue), queue.Users, $"users of {queue.Ref} with {files} files, to which {reporters} HWPTs report, {after}");
        }

        var vdevices = objects.OfType<VdeviceEntry>().ToList();
        Expect.That(vdevices.TrueForAll(vdevice => vdevice is { Users: 1, Device.Vdevice: { } its } && its == vdevice), $"A vDevice is held, or its device does not know it, {after}.");
        Expect.Equal(vdevices.Count, objects.OfType<DeviceEntry>().Count(device => device.Vdevice is not null), $"devices with a vDevice {after}");
        foreach (var queue in objects.OfType<HwQueueEntry>())
        {
            Expect.That(queue.Access is { } access && objects.Contains(access) && access.DriverHold?.Owner == queue, $"{queue.Ref} has no access of its own {after}.");
            Expect.Equal(queue.Viommu.Hwpt.Ioas, queue.Access!.Ioas, $"the IOAS in which the memory of {queue.Ref} is pinned {after}");
        }
    }

    /// <summary>The IOASes' grains have the domains, accesses, reservations and pins that the context's objects say.</summary>
    public static void CheckGrains(OpenContext context, string after)
    {
        var objects = context.Objects.After(0).ToList();
        foreach (var ioas in objects.OfType<IoasEntry>())
        {
            var state = context.IoasState(ioas.Id.Value);
            Expect.Equal(objects.OfType<HwptPagingEntry>().Count(hwpt => hwpt.Ioas == ioas), state.Domains, $"domains of {ioas.Ref} {after}");
            var accesses = objects.OfType<AccessEntry>().Where(access => access.Ioas == ioas).ToList();
            Expect.Equal(accesses.Count, state.Accesses, $"accesses of {ioas.Ref} {after}");
            var pins = accesses.Select(access => (AccessState)context.ObjectGrains.InspectAsync(access, default).AsTask().GetAwaiter().GetResult().State!).ToList();
            Expect.Equal(pins.Sum(access => access.Pins), state.Pins, $"pins of {ioas.Ref} {after}");
            foreach (var device in objects.OfType<DeviceEntry>().Where(device => device.Hwpt?.Ioas == ioas))
            {
                foreach (var region in device.Device.ReservedRegions)
                {
                    Expect.That(state.Reserved.Any(reserved => reserved.Start <= region.Start && reserved.Last >= region.Last), $"{region} of {device.Ref} is not reserved in {ioas.Ref} {after}.");
                }
            }
        }
    }

    // Holds that drivers have taken for themselves, beside those that follow from devices and accesses.
    private static int HoldsOfDrivers(ObjectEntry entry) => Holders(entry).Count(hold => hold.Id != default);

    private static IEnumerable<Hold> Held(HoldOwner owner)
    {
        for (var hold = owner.FirstHeld; hold is not null; hold = hold.NextHeld)
        {
            yield return hold;
        }
    }

    private static IEnumerable<Hold> Holders(ObjectEntry entry)
    {
        for (var hold = entry.FirstHolder; hold is not null; hold = hold.NextHolder)
        {
            yield return hold;
        }
    }
}
