using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Objects;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;

namespace IommuFd.UnitTests.Objects.Graph;

/// <summary>
/// Random ioctls and drivers' requests on small graphs, with ids drawn from few, so that they meet. After each one the users counts are what they must be;
/// what fails changes nothing; and in the end nothing is left. Another seed is tried with the environment variable <c>IOMMUFD_SEED</c>.
/// </summary>
public sealed class RandomGraphTests(ITestOutputHelper output)
{
    private const int Contexts = 250;
    private const int Steps = 400;
    private const int MostObjects = 24;
    private const ulong Page = 4096;

    private static readonly string?[] Groups = [null, null, "a", "b"];

    private static readonly IovaRange[][] Regions = [[], [], [new(0x1F00_0000, 0x1F00_FFFF)], [new(0x0200_0000, 0x0200_0FFF), new(0x0300_0000, 0x0300_0FFF)]];

    [Fact]
    public void The_users_counts_are_right_after_every_request_and_nothing_is_left()
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("IOMMUFD_SEED"), CultureInfo.InvariantCulture, out var given) ? given : Environment.TickCount;
        output.WriteLine($"IOMMUFD_SEED={seed}");
        var random = new Random(seed);
        var answers = new SortedDictionary<string, (int Successes, int Failures)>();
        for (var i = 0; i < Contexts; i++)
        {
            RunOne(random, $"of context {i}, IOMMUFD_SEED={seed}", answers);
        }

        // A step that never succeeds, or never fails, would test half of what it should.
        foreach (var (name, (successes, failures)) in answers)
        {
            output.WriteLine($"{name}: {successes} succeeded, {failures} failed");
            Expect.That(successes > 0, $"{name} never succeeded.");
            Expect.That(failures > 0 || name is nameof(IommuIoasAlloc) or nameof(CreateAccessRequest) or nameof(BindDeviceRequest), $"{name} never failed.");
        }
    }

    private static void RunOne(Random random, string where, SortedDictionary<string, (int Successes, int Failures)> answers)
    {
        var context = new OpenContext();
        var drivers = new[] { context.Driver("first"), context.Driver("second") };
        for (var i = 0; i < 3; i++)
        {
            context.AllocateIoas();
        }

        for (var step = 0; step < Steps; step++)
        {
            var compare = random.Next(8) == 0;
            var before = compare ? context.FullSnapshot() : "";
            var (name, errno) = Step(context, drivers[random.Next(2)], random);
            var after = $"after step {step}, {name} = {errno}, {where}";
            var (successes, failures) = answers.GetValueOrDefault(name);
            answers[name] = errno == Errno.None ? (successes + 1, failures) : (successes, failures + 1);
            GraphInvariants.CheckUsers(context, after);
            if (compare)
            {
                GraphInvariants.CheckAttachments(context, after);
                GraphInvariants.CheckGrains(context, after);

                // An unmap that meets an area it can't take has unmapped those before it.
                if (errno != Errno.None && name != nameof(IommuIoasUnmap))
                {
                    Expect.Equal(before, context.FullSnapshot(), $"the context {after}");
                }
            }
        }

        End(context, drivers, where);
    }

    private static void End(OpenContext context, ReferenceId[] drivers, string where)
    {
        // One driver goes before the context, as a driver that is unloaded; the other with it.
        var driver = context.Model.FindDriver(drivers[0])!;
        var abandoning = DriverHandler.AbandonAsync(new IoctlScope(context.Model, context.ObjectGrains), driver);
        Expect.That(abandoning.IsCompletedSuccessfully, "Abandoning a driver did not end at once.");
        Expect.Equal(0, driver.HeldCount, $"what a driver that is gone still holds {where}");
        Expect.Equal(Errno.None, context.Model.Put(drivers[0]), "putting the first driver's reference");
        GraphInvariants.CheckUsers(context, $"without the first driver {where}");
        GraphInvariants.CheckAttachments(context, $"without the first driver {where}");
        GraphInvariants.CheckGrains(context, $"without the first driver {where}");

        var count = context.Objects.Count;
        Expect.Equal(Errno.None, context.Model.Put(drivers[1]), "putting the second driver's reference");
        var (destroyed, stuck) = context.Objects.Release();
        Expect.Equal((count, 0), (destroyed.Count, stuck.Count), $"objects released and stuck {where}");
        Expect.That(context.Objects.IsEmpty && destroyed.TrueForAll(entry => entry is { FirstHeld: null, FirstHolder: null }), $"Something still holds after the release {where}.");
    }

    private static (string Name, Errno Errno) Step(OpenContext context, ReferenceId driver, Random random)
    {
        var live = context.Objects.After(0).ToList();
        return random.Next(24) switch
        {
            0 when live.Count < MostObjects => (nameof(IommuIoasAlloc), context.Run(IommuCommand.IoasAlloc, default(IommuIoasAlloc)).Errno),
            0 or 1 or 2 => (nameof(IommuIoasMap), context.TryMap(
                Of(ObjectType.Ioas), Iova(), Page * (ulong)random.Next(1, 8), isThere: random.Next(30) != 0, writeable: random.Next(6) != 0).Errno),
            3 => (nameof(IommuIoasUnmap), context.TryUnmap(Of(ObjectType.Ioas), Iova(), Page * (ulong)random.Next(1, 64)).Errno),
            4 or 5 when live.Count < MostObjects => (nameof(IommuTestOp.MockDomain), context.TryMockDomain(PageTable(), (IommuTestDeviceFlags)random.Next(7)).Errno),
            6 or 7 => (nameof(IommuTestOp.MockDomainReplace), context.TryReplace(Of(ObjectType.Selftest), PageTable()).Errno),
            8 or 9 when live.Count < MostObjects => (nameof(IommuHwptAlloc), context.TryAllocateHwpt(
                Of(ObjectType.Device), random.Next(8) == 0 ? Any() : Of(ObjectType.Ioas), (IommuHwptAllocFlags)random.Next(16)).Errno),
            4 or 5 or 8 or 9 or 10 or 11 => (nameof(IommuDestroy), context.TryDestroy(Any()).Errno),
            12 or 13 when live.Count < MostObjects => Ask(new BindDeviceRequest(new DeviceDescription
            {
                Name = random.Next(20) == 0 ? "" : "device",
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
            _ => OfOwner(ObjectType.Access, id => new UnpinPagesRequest(id, (uint)random.Next(4))),
        };

        // Mostly an object of the kind that is wanted; else any, or none at all.
        uint Of(ObjectType type)
        {
            var fitting = live.FindAll(entry => entry.Type == type);
            return fitting.Count > 0 && random.Next(8) != 0 ? fitting[random.Next(fitting.Count)].Id.Value : Any();
        }

        uint Any() => random.Next(30) == 0 || live.Count == 0 ? (uint)random.NextInt64(1L << 32) : live[random.Next(live.Count)].Id.Value;

        uint PageTable() => Of(random.Next(2) == 0 ? ObjectType.Ioas : ObjectType.HwptPaging);

        // Mostly the device itself; of a device with 2 bits, 4 is no PASID.
        uint Pasid() => random.Next(3) == 0 ? (uint)random.Next(5) : 0;

        // Few places, seldom outside the aperture, and hardly ever inside a page.
        ulong Iova() => (random.Next(30) == 0 ? 0 : TestDevices.ApertureStart) + ((ulong)random.Next(32) * Page) + (random.Next(300) == 0 ? 0x400UL : 0);

        (string, Errno) Pin() => OfOwner(ObjectType.Access, id => new PinPagesRequest(id, Iova(), Page * (ulong)random.Next(1, 4), random.Next(4) == 0));

        (string, Errno) Ask(DriverRequest request) => (request.GetType().Name, context.Ask(driver, request).Errno);

        // Mostly by the driver whose object it is.
        (string, Errno) OfOwner(ObjectType type, Func<ObjectId, DriverRequest> make)
        {
            var id = new ObjectId(Of(type));
            var owner = context.Objects.Find<DrivenEntry>(id.Value)?.DriverHold?.Owner as ContextReference;
            var request = make(id);
            return (request.GetType().Name, context.Ask(random.Next(8) == 0 ? driver : owner?.Id ?? driver, request).Errno);
        }
    }
}
