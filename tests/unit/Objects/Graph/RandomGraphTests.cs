using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;

namespace IommuFd.UnitTests.Objects.Graph;

/// <summary>
/// Random ioctls and drivers' requests on small graphs, with ids drawn from few, so that they meet. After each one the users counts are what they must be;
/// what fails changes nothing; and in the end nothing is left.
/// </summary>
public sealed class RandomGraphTests(ITestOutputHelper output)
{
    private const int Contexts = 250;
    private const int Steps = 400;

    [Fact]
    public void The_users_counts_are_right_after_every_request_and_nothing_is_left()
    {
        var seed = Seed.Of(output);
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
            var (name, errno, _) = RandomStep.Run(context, drivers[random.Next(2)], random);
            var after = $"after step {step}, {name} = {errno}, {where}";
            var (successes, failures) = answers.GetValueOrDefault(name);
            answers[name] = errno == Errno.None ? (successes + 1, failures) : (successes, failures + 1);
            GraphInvariants.CheckUsers(context, after);
            GraphInvariants.CheckGrainUsers(context, after);
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
        var abandoning = DriverHandler.ReleaseDriverObjectsAsync(new IoctlScope(context.Model, context.ObjectGrains), driver);
        Expect.That(abandoning.IsCompletedSuccessfully, "Abandoning a driver did not end at once.");
        Expect.Equal(0, driver.HeldCount, $"what a driver that is gone still holds {where}");
        Expect.Equal(Errno.None, context.Model.Put(drivers[0]), "putting the first driver's reference");
        GraphInvariants.CheckUsers(context, $"without the first driver {where}");
        GraphInvariants.CheckGrainUsers(context, $"without the first driver {where}");
        GraphInvariants.CheckAttachments(context, $"without the first driver {where}");
        GraphInvariants.CheckGrains(context, $"without the first driver {where}");

        var count = context.Objects.Count;
        Expect.Equal(Errno.None, context.Model.Put(drivers[1]), "putting the second driver's reference");
        var (destroyed, stuck) = context.Objects.Release();
        Expect.Equal((count, 0), (destroyed.Count, stuck.Count), $"objects released and stuck {where}");
        Expect.That(context.Objects.IsEmpty && destroyed.TrueForAll(entry => entry is { FirstHeld: null, FirstHolder: null }), $"Something still holds after the release {where}.");
    }
}
