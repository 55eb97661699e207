using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Inspection;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Objects.Graph;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;

namespace IommuFd.UnitTests.Snapshots;

/// <summary>
/// Random requests on a context, which is written down now and then and made again elsewhere. From then on both are asked the same, and must answer the same to
/// the last holder of the last diagnostic.
/// </summary>
public sealed class ContextSnapshotRandomTests(ITestOutputHelper output)
{
    private const int Contexts = 120;
    private const int Steps = 300;

    [Fact]
    public void A_context_that_is_made_again_answers_as_the_one_that_was_written_down()
    {
        var seed = Seed.Of(output);
        var random = new Random(seed);
        var snapshots = 0;
        var answers = new SortedDictionary<string, (int Successes, int Failures)>();
        for (var i = 0; i < Contexts; i++)
        {
            RunOne(random, $"of context {i}, IOMMUFD_SEED={seed}");
        }

        // A request that never succeeds would not show whether what it needs was made again.
        output.WriteLine($"{snapshots} snapshots");
        foreach (var (name, (successes, failures)) in answers)
        {
            output.WriteLine($"{name}: {successes} succeeded, {failures} failed of both");
            Expect.That(successes > 0, $"{name} never succeeded.");
        }

        void RunOne(Random random, string where)
        {
            var original = new OpenContext();
            var drivers = new[] { original.Driver("first"), original.Driver("second") };
            for (var i = 0; i < 3; i++)
            {
                original.AllocateIoas();
            }

            if (random.Next(2) == 0)
            {
                MakeGuest(original, drivers[0]);
            }

            OpenContext? again = null;
            for (var step = 0; step < Steps; step++)
            {
                if (random.Next(30) == 0)
                {
                    again = MakeAgain(original, again, $"before step {step} {where}");
                    snapshots++;
                }

                var (driver, choices) = (drivers[random.Next(2)], random.Next());
                var (name, reply) = RandomRequest.Run(original, driver, new Random(choices));
                if (again is not null)
                {
                    var after = $"after step {step}, {name}, {where}";
                    Expect.Equal(Deep.Text(reply), Deep.Text(RandomRequest.Run(again, driver, new Random(choices)).Reply), $"the answer {after}");
                    GraphInvariants.CheckUsers(again, after);
                    GraphInvariants.CheckGrainUsers(again, after);
                    GraphInvariants.CheckGuests(again, after);
                    var (successes, failures) = answers.GetValueOrDefault(name);
                    var failed = reply is IoctlReply { Errno: not Errno.None } or DriverReply { Errno: not Errno.None } or FileReply { Errno: not Errno.None };
                    answers[name] = failed ? (successes, failures + 1) : (successes + 1, failures);
                }
            }

            again ??= MakeAgain(original, null, $"at the end {where}");
            Compare(original, again, $"at the end {where}");
            Expect.Equal(End(original, drivers), End(again, drivers), $"what was left, in the order in which it was released, {where}");
        }
    }

    // Random requests seldom come that far on their own: a guest with a driver's device that reports events, and a mock device with PASIDs.
    private static void MakeGuest(OpenContext context, ReferenceId driver)
    {
        var guest = context.Guest();
        var device = context.Bind(driver, "guest's");
        context.RunOk(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc { ViommuId = guest.Viommu, DevId = device.Value, VirtId = 1 });
        context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(guest.Nested)));
        var mock = context.MockDomain(guest.Ioas, IommuTestDeviceFlags.Pasid);
        context.Replace(mock.OutStdevId, context.AllocateHwpt(mock.OutIdevId, guest.Ioas, IommuHwptAllocFlags.Pasid));
    }

    // By turns from the context itself, and from the one that was made of it before, so that what gets lost adds up.
    private static OpenContext MakeAgain(OpenContext original, OpenContext? before, string where)
    {
        if (before is not null)
        {
            Compare(original, before, where);
        }

        var bytes = (before ?? original).Capture();
        var again = OpenContext.Restore(bytes);
        Expect.Equal(Convert.ToHexString(bytes), Convert.ToHexString(again.Capture()), $"the snapshot of the context that was made again {where}");
        Compare(original, again, where);
        return again;
    }

    private static void Compare(OpenContext original, OpenContext again, string where)
    {
        Expect.Equal(Show(original), Show(again), $"an inspection {where}");
        Expect.Equal(Deep.Text(original.CaptureSnapshot()), Deep.Text(again.CaptureSnapshot()), $"a snapshot {where}");
        GraphInvariants.CheckUsers(again, where);
        GraphInvariants.CheckGrainUsers(again, where);
        GraphInvariants.CheckAttachments(again, where, driversHold: true);
        GraphInvariants.CheckGuests(again, where);
        GraphInvariants.CheckGrains(again, where);
        Expect.That(!again.ObjectGrains.HasLost, $"A grain was lost {where}.");
    }

    private static string Show(OpenContext context)
    {
        var everything = new InspectRequest(default, IoctlLimits.MaxInspectionPage, WithState: true);
        var inspection = ContextInspector.InspectAsync(context.Model, context.ObjectGrains, "", everything, CancellationToken.None).GetAwaiter().GetResult();
        var graph = GraphWalker.Walk(context.Model, new GraphRequest(default, GraphDirection.Both, IoctlLimits.MaxInspectionPage));
        // A restore does not call the grain of an object in its first state, which then counts nothing: CheckGrainUsers compares those that count.
        var objects = Array.ConvertAll(inspection.Objects, shown => shown with { GrainUsers = null });
        return $"{inspection.ObjectCount} {Deep.Text(objects)} {Deep.Text(inspection.References)}\n{Deep.Text(graph)}\n{context.FullSnapshot()}";
    }

    // A driver goes before the context, as one that is unloaded, and then everything.
    private static string End(OpenContext context, ReferenceId[] drivers)
    {
        var scope = new IoctlScope(context.Model, context.ObjectGrains);
        Expect.That(ContextOperations.PutAsync(scope, drivers[0]).AsTask().IsCompletedSuccessfully, "Putting a driver's reference took time.");
        var left = context.FullSnapshot();
        foreach (var reference in context.Model.References.ToList())
        {
            Expect.Equal(Errno.None, context.Model.Put(reference.Id), $"putting {reference.Name}");
        }

        var (destroyed, stuck) = context.Objects.Release();
        return $"{left}\n{string.Join(' ', destroyed.Select(entry => entry.Ref))}, stuck {stuck.Count}";
    }
}
