using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Inspection;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Objects.Graph;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;

namespace IommuFd.UnitTests.Inspection;

/// <summary>What must be let go before an object can be destroyed: the steps are done, by the handlers that would do them, and nothing else helps.</summary>
public sealed class BusyExplainerTests(ITestOutputHelper output)
{
    private const int Contexts = 60;
    private const int StepsOfContext = 120;

    private readonly OpenContext _context = new();

    [Fact]
    public void Nothing_is_in_the_way_of_an_object_that_nobody_holds()
    {
        var ioas = _context.AllocateIoas();
        var explanation = Explain(_context, ioas);
        Expect.Equal((Errno.None, 1L, false), (explanation.Errno, explanation.Users, explanation.GoesWithLastStep), "errno, users and whether it goes");
        Expect.Sequence([], explanation.Steps, "steps");
    }

    [Fact]
    public void An_object_that_is_not_there_is_ENOENT()
        => Expect.Equal(Errno.ENOENT, Explain(_context, 77).Errno, "errno of object 77");

    [Fact]
    public void Holders_come_after_their_own_holders_and_an_automatic_HWPT_goes_with_its_last_device()
    {
        var ioas = _context.AllocateIoas();
        var driver = _context.Driver("vfio");
        var (first, second) = (_context.Bind(driver, "first"), _context.Bind(driver, "second"));
        var hwpt = _context.AskOk(driver, new AttachDeviceRequest(first, new ObjectId(ioas)));
        _context.AskOk(driver, new AttachDeviceRequest(second, new ObjectId(ioas)));
        var hold = _context.Hold(driver, hwpt, "stuck");

        var explanation = Explain(_context, ioas);
        Expect.Sequence(
            [
                $"drop the hold 'stuck' on HWPT {hwpt} (by driver 'vfio')", $"detach device {second} (by driver 'vfio')", $"detach device {first} (by driver 'vfio')",
            ],
            explanation.Steps.Select(step => step.ToString()),
            "steps");
        Expect.Sequence(
            [new ObjectRef(ObjectType.HwptPaging, hwpt), new ObjectRef(ObjectType.Ioas, new ObjectId(ioas))], explanation.Steps[^1].Frees, "what the last step frees");
        Expect.Equal(hold, explanation.Steps[0].Hold, "the hold to drop");
        Follow(_context, explanation, "", skip: -1);
    }

    [Fact]
    public void A_device_of_the_selftest_goes_with_its_owner_and_one_of_a_driver_is_unbound()
    {
        var mock = _context.MockDomain(_context.AllocateIoas());
        var explanation = Explain(_context, mock.OutIdevId);
        Expect.Sequence([(BusyStepKind.Destroy, mock.OutStdevId)], explanation.Steps.Select(step => (step.Kind, step.Object.Id.Value)), "steps for a mock device");
        Expect.That(explanation.GoesWithLastStep, "The device does not go with its owner.");

        var device = _context.Bind(_context.Driver(), "device");
        explanation = Explain(_context, device.Value);
        Expect.Sequence([(BusyStepKind.UnbindDevice, device)], explanation.Steps.Select(step => (step.Kind, step.Object.Id)), "steps for a driver's device");
        Expect.That(explanation.GoesWithLastStep, "The device does not go when it is unbound.");
    }

    [Fact]
    public void A_step_names_once_what_it_frees_of_several_holds()
    {
        var driver = _context.Driver();
        var device = _context.AskOk(driver, new BindDeviceRequest(new DeviceDescription { Name = "device", PasidWidth = 4 }));
        var hwpt = new ObjectId(_context.AllocateHwpt(device.Value, _context.AllocateIoas(), IommuHwptAllocFlags.Pasid));
        _context.AskOk(driver, new AttachDeviceRequest(device, hwpt));
        _context.AskOk(driver, new AttachDeviceRequest(device, hwpt, Pasid: 1));
        Expect.Equal(3L, _context.Objects.Find(hwpt.Value)!.Users, "users of the HWPT, attached twice");

        var step = Explain(_context, device.Value).Steps.Single();
        Expect.Sequence([new ObjectRef(ObjectType.Device, device), new ObjectRef(ObjectType.HwptPaging, hwpt)], step.Frees, $"what it frees to {step}");
    }

    [Fact]
    public void A_step_that_frees_more_than_is_listed_counts_them()
    {
        const uint Pasids = 100;
        var driver = _context.Driver();
        var device = _context.AskOk(driver, new BindDeviceRequest(new DeviceDescription { Name = "device", PasidWidth = 8 }));
        var ioas = _context.AllocateIoas();
        for (uint pasid = 0; pasid < Pasids; pasid++)
        {
            var hwpt = new ObjectId(_context.AllocateHwpt(device.Value, ioas, IommuHwptAllocFlags.Pasid));
            _context.AskOk(driver, new AttachDeviceRequest(device, hwpt, Pasid: pasid));
        }

        var step = Explain(_context, device.Value).Steps.Single();
        Expect.Equal(((int)Pasids + 1, IoctlLimits.MaxListed), (step.FreeCount, step.Frees.Length), $"what {step} frees, and what is listed of it");
        var words = BusyText.Effect(step);
        Expect.That(words.EndsWith(" and 37 more", StringComparison.Ordinal), $"The words are '{words}'.");
    }

    [Fact]
    public void More_steps_than_fit_are_cut_and_said_so()
    {
        var ioas = _context.AllocateIoas();
        var driver = _context.Driver();
        for (var i = 0; i < BusyExplanation.MaxSteps; i++)
        {
            _context.Hold(driver, new ObjectId(ioas));
        }

        Expect.Equal((BusyExplanation.MaxSteps, false), Shape(Explain(_context, ioas)), "steps, and whether there are more");
        _context.Hold(driver, new ObjectId(ioas));
        Expect.Equal((BusyExplanation.MaxSteps, true), Shape(Explain(_context, ioas)), "steps, and whether there are more, with one hold more");

        static (int, bool) Shape(BusyExplanation explanation) => (explanation.Steps.Length, explanation.IsTruncated);
    }

    [Fact]
    public void In_random_graphs_every_step_works_the_object_can_be_destroyed_then_and_no_step_is_superfluous()
    {
        var seed = Seed.Of(output);
        var random = new Random(seed);
        var kinds = new SortedDictionary<BusyStepKind, int>();
        var longest = 0;
        for (var i = 0; i < Contexts; i++)
        {
            var context = Grow(random);
            var frozen = context.Capture();
            foreach (var id in context.Objects.After(0).Select(entry => entry.Id.Value).ToList())
            {
                var steps = Explain(context, id).Steps;
                longest = Math.Max(longest, steps.Length);
                Array.ForEach(steps, step => kinds[step.Kind] = kinds.GetValueOrDefault(step.Kind) + 1);
                for (var skip = -1; skip < steps.Length; skip++)
                {
                    var copy = OpenContext.Restore(frozen);
                    Follow(copy, Explain(copy, id), $"context {i}, IOMMUFD_SEED={seed}", skip);
                }
            }
        }

        output.WriteLine($"longest {longest}: {string.Join(", ", kinds)}");
        Expect.Sequence(Enum.GetValues<BusyStepKind>(), kinds.Keys, "kinds of steps that occurred");
        Expect.That(longest >= 5, $"The longest way has {longest} steps.");
    }

    private static OpenContext Grow(Random random)
    {
        var context = new OpenContext();
        ReferenceId[] drivers = [context.Driver("first"), context.Driver("second")];
        context.AllocateIoas();
        context.AllocateIoas();
        for (var step = 0; step < StepsOfContext; step++)
        {
            var live = context.Objects.After(0).ToList();
            switch (random.Next(12))
            {
                case 0 when live.Count > 0:
                    context.Ask(drivers[random.Next(2)], new HoldObjectRequest(live[random.Next(live.Count)].Id, ObjectType.Any, "named"));
                    break;
                case 1 when live.Find(entry => entry.Type == ObjectType.Ioas) is { } ioas:
                    context.Run(IommuCommand.TestCmd, TestAccess(ioas.Id.Value));
                    break;
                default:
                    RandomStep.Run(context, drivers[random.Next(2)], random);
                    break;
            }
        }

        return context;
    }

    private static IommuTestCmd TestAccess(uint ioas)
    {
        var cmd = new IommuTestCmd { Op = (uint)IommuTestOp.CreateAccess, Id = ioas };
        cmd.Fields.Set(new IommuTestCreateAccess { Flags = 1 });
        return cmd;
    }

    private static void Follow(OpenContext context, BusyExplanation explanation, string where, int skip)
    {
        var (what, id) = ($"{explanation.Object} {where}", explanation.Object.Id.Value);
        for (var i = 0; i < explanation.Steps.Length; i++)
        {
            if (i == skip)
            {
                continue;
            }

            var (step, before) = (explanation.Steps[i], context.Objects.After(0).ToDictionary(entry => entry.Ref, entry => entry.Users));
            var errno = Do(context, step);
            if (skip < 0)
            {
                Expect.Equal(Errno.None, errno, $"step {i} of {what}: {step}");
                var freed = before.Where(entry => context.Objects.Find(entry.Key.Id.Value) is not { } now || now.Ref != entry.Key || now.Users < entry.Value).Select(entry => entry.Key);
                Expect.Sequence(freed.OrderBy(entry => entry.Id.Value), step.Frees.OrderBy(entry => entry.Id.Value), $"what step {i} of {what} frees: {step}");
            }
        }

        if (skip >= 0)
        {
            Expect.Equal(Errno.EBUSY, context.TryDestroy(id).Errno, $"destroying {what} without step {skip}: {explanation.Steps[skip]}");
        }
        else if (explanation.GoesWithLastStep)
        {
            Expect.Equal(null, context.Objects.Find(id)?.Ref, $"{what}, which should be gone");
        }
        else
        {
            Expect.Equal(Errno.None, context.TryDestroy(id).Errno, $"destroying {what}");
        }
    }

    private static Errno Do(OpenContext context, BusyStep step) => step.Kind switch
    {
        BusyStepKind.Destroy => context.TryDestroy(step.Object.Id.Value).Errno,
        BusyStepKind.DetachDevice => context.Ask(step.Reference, new DetachDeviceRequest(step.Object.Id, step.Pasid)).Errno,
        BusyStepKind.UnbindDevice => context.Ask(step.Reference, new UnbindDeviceRequest(step.Object.Id)).Errno,
        BusyStepKind.DetachAccess => context.Ask(step.Reference, new DetachAccessRequest(step.Object.Id)).Errno,
        BusyStepKind.DestroyAccess => context.Ask(step.Reference, new DestroyAccessRequest(step.Object.Id)).Errno,
        BusyStepKind.DropHold => context.Ask(step.Reference, new DropHoldRequest(step.Hold)).Errno,
        BusyStepKind.CloseFile => ContextOperations.PutAsync(new IoctlScope(context.Model, context.ObjectGrains), step.Reference).AsTask().GetAwaiter().GetResult(),
        _ => throw new ArgumentOutOfRangeException(nameof(step), step.Kind, "No such step."),
    };

    private static BusyExplanation Explain(OpenContext context, uint id) => BusyExplainer.Explain(context.Model, new ObjectId(id));
}
