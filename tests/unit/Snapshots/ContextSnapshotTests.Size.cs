using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Snapshots;

/// <content>Contexts with very many objects: how few bytes they take, and that none is missing.</content>
public sealed partial class ContextSnapshotTests
{
    [Fact]
    public void Snapshots_are_small()
    {
        var fresh = Size(context => Repeat(100_000, () => context.Add()));
        Report("an IOAS that was never used, 100,000 made in a row", fresh / 100_000.0, 0.01);

        var random = new Random(1);
        var churned = Size(context =>
        {
            Repeat(100_000, () => context.Add());
            Repeat(100_000, () =>
            {
                context.Model.Remove((uint)random.Next(1, 100_001), out _);
                context.Add();
            });
        });
        Report("an IOAS that was never used, ids and serial numbers at random", churned / 100_000.0, 8);

        var used = Size(context => Repeat(1_000, () => context.MapAnywhere(context.AllocateIoas(), 0x1000)));
        Report("an IOAS with one area", used / 1_000.0, 140);

        var regular = Size(context =>
        {
            var ioas = context.AllocateIoas();
            for (ulong i = 0; i < 100_000; i++)
            {
                context.Map(ioas, TestDevices.ApertureStart + (i * 0x2000), 0x1000);
            }
        });
        Report("an area of 100,000 alike", regular / 100_000.0, 0.01);

        var irregular = Size(context =>
        {
            var (ioas, iova) = (context.AllocateIoas(), TestDevices.ApertureStart);
            for (var i = 0; i < 20_000; i++)
            {
                context.Map(ioas, iova, (ulong)random.Next(1, 50) * 0x1000);
                iova += (ulong)random.Next(50, 500) * 0x1000;
            }
        });
        Report("an area of 20,000 of any size anywhere", irregular / 20_000.0, 24);

        var devices = Size(context => Repeat(1_000, () => context.TryMockDomain(context.AllocateIoas())));
        Report("an IOAS, a HWPT, a device and its owner", devices / 1_000.0, 220);

        var hwpts = Size(context =>
        {
            var ioas = context.AllocateIoas();
            var device = context.Bind(context.Driver(), "device");
            Repeat(1_000, () => context.AllocateHwpt(device.Value, ioas));
        });
        Report("a HWPT of 1,000 on one IOAS", hwpts / 1_000.0, 80);
        Report("a context without objects", Size(_ => { }), 80);

        void Report(string what, double bytes, double most)
        {
            output.WriteLine($"{what}: {bytes:0.####} bytes");
            Expect.That(bytes <= most, $"{what} takes {bytes:0.####} bytes, more than {most}.");
        }
    }

    [Theory]
    [InlineData(1_000)]
    [InlineData(100_000)]
    public void A_context_with_many_objects_is_made_again(int objects)
    {
        Fill(_context, objects);
        var again = OpenContext.Restore(_context.Capture());
        Expect.Equal((_context.Objects.Count, false), (again.Objects.Count, again.ObjectGrains.HasLost), "objects, and whether one was lost");
    }

    [Fact]
    public void A_context_with_a_million_IOASes_is_made_again()
    {
        Repeat(1_000_000, () => _context.Add());
        Expect.Equal(1_000_000, OpenContext.Restore(_context.Capture()).Objects.Count, "objects");
    }

    // A third IOASes with an area, and on each a HWPT and an access.
    private static void Fill(OpenContext context, int objects)
    {
        var driver = context.Driver();
        var device = context.Bind(driver, "device");
        for (var i = 0; i < objects / 3; i++)
        {
            var ioas = context.AllocateIoas();
            context.Map(ioas, TestDevices.ApertureStart, 0x1000);
            context.AllocateHwpt(device.Value, ioas);
            context.AskOk(driver, new AttachAccessRequest(context.AskOk(driver, new CreateAccessRequest(true)), new ObjectId(ioas)));
        }
    }

    private static int Size(Action<OpenContext> fill)
    {
        var context = new OpenContext();
        fill(context);
        return context.Capture().Length;
    }

    private static void Repeat(int count, Action action)
    {
        for (var i = 0; i < count; i++)
        {
            action();
        }
    }
}
