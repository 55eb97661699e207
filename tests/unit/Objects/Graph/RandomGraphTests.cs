using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;

namespace IommuFd.UnitTests.Objects.Graph;

/// <summary>
/// Random ioctls, drivers' requests, and reads, writes and closes of files on small graphs of all kinds of objects, with ids drawn from few, so that they meet. After
/// each one the users counts of the table and of the grains are what they must be; what fails changes nothing; and in the end nothing is left.
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
            Expect.That(failures > 0 || name is nameof(IommuIoasAlloc) or nameof(CreateAccessRequest) or nameof(BindDeviceRequest) or "close", $"{name} never failed.");
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
            Expect.That(!context.ObjectGrains.HasLost, $"A grain was lost {after}.");
            var (successes, failures) = answers.GetValueOrDefault(name);
            answers[name] = errno == Errno.None ? (successes + 1, failures) : (successes, failures + 1);
            GraphInvariants.CheckUsers(context, after);
            GraphInvariants.CheckGrainUsers(context, after);
            if (compare)
            {
                Check(context, after);

                // An unmap that meets an area it can't take has unmapped those before it.
                if (errno != Errno.None && name != nameof(IommuIoasUnmap))
                {
                    Expect.Equal(before, context.FullSnapshot(), $"the context {after}");
                }
            }
        }

        End(context, drivers[0], random, where);
    }

    // One driver goes before the context, as a driver that is unloaded; then files, drivers and the program itself in any order. Half of the time a program
    // destroys everything before that, again in any order, and what can't be destroyed yet is tried again.
    private static void End(OpenContext context, ReferenceId driver, Random random, string where)
    {
        var scope = new IoctlScope(context.Model, context.ObjectGrains);
        Put(driver);
        var references = context.Model.References.Select(reference => reference.Id).OrderBy(reference => reference.Value).ToArray();
        random.Shuffle(references);
        if (random.Next(2) == 0)
        {
            var program = references.Min(reference => reference.Value);
            Array.ForEach(Array.FindAll(references, reference => reference.Value != program), Put);
            while (context.Objects.Count > 0)
            {
                var entries = context.Objects.After(0).ToArray();
                random.Shuffle(entries);
                var destroyed = entries.Count(entry => context.TryDestroy(entry.Id.Value).Errno == Errno.None);
                Expect.That(destroyed > 0, $"Nothing of {string.Join(", ", entries.Select(entry => entry.Ref))} can be destroyed {where}.");
                Check(context, $"after DESTROY of {destroyed} objects {where}");
            }

            references = [new ReferenceId(program)];
        }

        Array.ForEach(references[..^1], Put);
        var count = context.Objects.Count;
        Expect.Equal(Errno.None, context.Model.Put(references[^1]), $"putting the last reference {where}");
        var (released, stuck) = context.Objects.Release();
        Expect.Equal((count, 0), (released.Count, stuck.Count), $"objects released and stuck {where}");
        Expect.That(context.Objects.IsEmpty && released.TrueForAll(entry => entry is { FirstHeld: null, FirstHolder: null }), $"Something still holds after the release {where}.");
        Expect.That(context.ObjectGrains.EndAllAsync().IsCompletedSuccessfully && context.ObjectGrains.Areas == 0, $"The grains of what is gone did not end at once {where}.");
        Expect.That(!context.ObjectGrains.HasLost, $"A grain was lost {where}.");

        void Put(ReferenceId reference)
        {
            var name = context.Model.Find(reference)!.Name;
            var put = ContextOperations.PutAsync(scope, reference).AsTask();
            Expect.That(put.IsCompletedSuccessfully && put.Result == Errno.None, $"Putting the reference of {name} failed, or did not end at once, {where}.");
            Check(context, $"without {name} {where}");
        }
    }

    private static void Check(OpenContext context, string after)
    {
        GraphInvariants.CheckUsers(context, after);
        GraphInvariants.CheckGrainUsers(context, after);
        GraphInvariants.CheckAttachments(context, after);
        GraphInvariants.CheckGuests(context, after);
        GraphInvariants.CheckGrains(context, after);
    }
}
