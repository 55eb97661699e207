using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Graph;

/// <summary>
/// One random ioctl or driver's request on a small graph. Ids and places are drawn from few, so that they meet. <see cref="RandomNestingStep"/> makes those about
/// what a guest has.
/// </summary>
internal static class RandomStep
{
    private const int MostObjects = 40;
    private const ulong Page = 4096;

    private static readonly string?[] Groups = [null, null, "a", "b"];

    private static readonly IovaRange[][] Regions = [[], [], [new(0x1F00_0000, 0x1F00_FFFF)], [new(0x0200_0000, 0x0200_0FFF), new(0x0300_0000, 0x0300_0FFF)]];

    /// <summary>Makes a request, mostly with objects that are there; answers its kind, its errno and all of its reply.</summary>
    public static (string Name, Errno Errno, object Reply) Run(OpenContext context, ReferenceId driver, Random random)
    {
        var live = context.Objects.After(0).ToList();
        return random.Next(46) switch
        {
            0 when live.Count < MostObjects => Ioctl(nameof(IommuIoasAlloc), context.Run(IommuCommand.IoasAlloc, default(IommuIoasAlloc))),
            0 or 1 or 2 => Ioctl(nameof(IommuIoasMap), context.TryMap(
                Of(ObjectType.Ioas), Iova(), Page * (ulong)random.Next(1, 8), isThere: random.Next(30) != 0, writeable: random.Next(6) != 0)),
            3 => Ioctl(nameof(IommuIoasUnmap), context.TryUnmap(Of(ObjectType.Ioas), Iova(), Page * (ulong)random.Next(1, 64))),
            4 or 5 when live.Count < MostObjects => Ioctl(nameof(IommuTestOp.MockDomain), context.TryMockDomain(PageTable(), (IommuTestDeviceFlags)random.Next(7))),
            6 or 7 => Ioctl(nameof(IommuTestOp.MockDomainReplace), context.TryReplace(Of(ObjectType.Selftest), PageTable())),
            8 or 9 when live.Count < MostObjects => Ioctl(nameof(IommuHwptAlloc), context.TryAllocateHwpt(
                Of(ObjectType.Device), random.Next(8) == 0 ? Any() : Of(ObjectType.Ioas), (IommuHwptAllocFlags)random.Next(16))),
            4 or 5 or 8 or 9 or 10 or 11 => Ioctl(nameof(IommuDestroy), context.TryDestroy(Any())),
            12 or 13 when live.Count < MostObjects => Ask(new BindDeviceRequest(new DeviceDescription
            {
                Name = random.Next(20) == 0 ? "" : "device",
                Iommu = random.Next(4) == 0 ? DeviceDescription.VirtualIommu : DeviceDescription.SelftestIommu,
                Group = Groups[random.Next(Groups.Length)],
                ReservedRegions = Regions[random.Next(Regions.Length)],
                TracksDirtyPages = random.Next(3) != 0,
                PasidWidth = random.Next(2) * 2,
            })),
            14 or 15 => OfOwner(ObjectType.Device, id => new AttachDeviceRequest(id, new ObjectId(PageTable()), Pasid())),
            16 => OfOwner(ObjectType.Device, id => new ReplaceDeviceRequest(id, new ObjectId(PageTable()), Pasid())),
            17 => OfOwner(ObjectType.Device, id => new DetachDeviceRequest(id, Pasid())),
            12 or 13 => OfOwner(ObjectType.Device, id => new UnbindDeviceRequest(id)),
            18 when live.Count < MostObjects => Ask(new CreateAccessRequest(random.Next(3) != 0)),
            18 => OfOwner(ObjectType.Access, id => new DestroyAccessRequest(id)),
            19 => OfOwner(ObjectType.Access, id => new AttachAccessRequest(id, new ObjectId(Of(ObjectType.Ioas)))),
            20 => OfOwner(ObjectType.Access, id => new ReplaceAccessRequest(id, new ObjectId(Of(ObjectType.Ioas)))),
            21 => random.Next(4) == 0 ? OfOwner(ObjectType.Access, id => new DetachAccessRequest(id)) : Pin(),
            22 => Pin(),
            23 => OfOwner(ObjectType.Access, id => new UnpinPagesRequest(id, (context.Objects.Find<AccessEntry>(id.Value)?.NextPin ?? 0) - 1 - (uint)random.Next(2))),
            < 35 when live.Count < MostObjects => new RandomNestingStep(context, driver, random).Make(),
            _ => new RandomNestingStep(context, driver, random).Use(),
        };

        // Mostly an object of the kind that is wanted; else any, or none at all.
        uint Of(ObjectType type)
        {
            var fitting = live.FindAll(entry => entry.Type == type);
            return fitting.Count > 0 && random.Next(8) != 0 ? fitting[random.Next(fitting.Count)].Id.Value : Any();
        }

        uint Any() => random.Next(30) == 0 || live.Count == 0 ? (uint)random.NextInt64(1L << 32) : live[random.Next(live.Count)].Id.Value;

        uint PageTable() => Of(random.Next(5) switch { < 2 => ObjectType.Ioas, < 4 => ObjectType.HwptPaging, _ => ObjectType.HwptNested });

        // Mostly the device itself; of a device with 2 bits, 4 is no PASID.
        uint Pasid() => random.Next(3) == 0 ? (uint)random.Next(5) : 0;

        // Few places, seldom outside the aperture, and hardly ever inside a page.
        ulong Iova() => (random.Next(30) == 0 ? 0 : TestDevices.ApertureStart) + ((ulong)random.Next(32) * Page) + (random.Next(300) == 0 ? 0x400UL : 0);

        // Mostly what is mapped.
        ulong Pinned(ObjectId id) => random.Next(4) != 0 && context.Objects.Find<AccessEntry>(id.Value)?.Ioas is { } ioas && context.IoasState(ioas.Id.Value).Areas is { Length: > 0 } areas
            ? areas[random.Next(areas.Length)].Range.Start
            : Iova();

        (string, Errno, object) Pin() => OfOwner(ObjectType.Access, id => new PinPagesRequest(id, Pinned(id), Page * (ulong)random.Next(1, 4), random.Next(4) == 0));

        static (string, Errno, object) Ioctl(string name, IoctlReply reply) => (name, reply.Errno, reply);

        (string, Errno, object) Ask(DriverRequest request) => Driver(request, context.Ask(driver, request));

        static (string, Errno, object) Driver(DriverRequest request, DriverReply reply) => (request.GetType().Name, reply.Errno, reply);

        // Mostly by the driver whose object it is.
        (string, Errno, object) OfOwner(ObjectType type, Func<ObjectId, DriverRequest> make)
        {
            var id = new ObjectId(Of(type));
            var owner = context.Objects.Find<DriverOwnedEntry>(id.Value)?.DriverHold?.Owner as ContextReference;
            var request = make(id);
            return Driver(request, context.Ask(random.Next(8) == 0 ? driver : owner?.Id ?? driver, request));
        }
    }
}
