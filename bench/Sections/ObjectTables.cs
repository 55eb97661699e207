using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Grains.Selftest;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>
/// Object tables without a grain around them, with the objects and holds that the ioctls of <see cref="FilledContext"/> create, in their order.
/// </summary>
internal static class ObjectTables
{
    /// <summary>IOASes that hold nothing.</summary>
    public static ObjectTable Flat(int ioases)
    {
        var table = new ObjectTable();
        for (var i = 0; i < ioases; i++)
        {
            table.Finalize(table.Reserve(static (id, serial) => new IoasEntry(id, serial))!);
        }

        return table;
    }

    /// <summary>Owners of devices that are attached to HWPTs that mirror IOASes.</summary>
    public static ObjectTable Graph(ReleasedGraph graph)
    {
        var table = Flat(graph.Ioases);
        for (var i = 1; i <= graph.Ioases; i++)
        {
            var ioas = table.Find<IoasEntry>((uint)i)!;
            for (var j = 0; j < graph.DevicesEach; j++)
            {
                AttachMock(table, ioas);
            }
        }

        return table;
    }

    private static void AttachMock(ObjectTable table, IoasEntry ioas)
    {
        var selftest = table.Reserve(static (id, serial) => new SelftestEntry(id, serial))!;
        var description = new DeviceDescription { Name = "iommufd_mock" };
        var group = new DeviceGroup(null);
        var device = table.Reserve((id, serial) => new DeviceEntry(id, serial, description, group))!;
        group.Bound.Add(device);
        device.DriverHold = Hold.RefToUsers(selftest, device, DeviceHandlers.BoundWhy);
        table.Finalize(device);

        if (ioas.AutoHwpts.Count == 0)
        {
            var made = table.Reserve((id, serial) => new HwptPagingEntry(id, serial, ioas, description.Iommu, IommuHwptAllocFlags.None, isAuto: true))!;
            Hold.RefToUsers(made, ioas, "mirroring it");
            table.Finalize(made);
            ioas.AddAuto(made);
        }

        device.Attach(DeviceGroup.NoPasid, ioas.AutoHwpts[0]);
        selftest.Device = device;
        table.Finalize(selftest);
    }
}
