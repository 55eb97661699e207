using IommuFd.Linearizability;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;
using Ioctl = IommuFd.Linearizability.Ioctl;

namespace IommuFd.UnitTests.Linearizability;

/// <summary>
/// The checker leaves most orders out, for reasons. Here it is compared with one that tries all, on small random histories, right ones and wrong ones.
/// </summary>
public sealed class ExhaustiveTests(ITestOutputHelper output)
{
    private const int Histories = 1000;

    private static readonly ContextSpecification Specification = new();

    [Fact]
    public void The_checker_finds_an_order_exactly_where_there_is_one()
    {
        var seed = Seed.Of(output);
        var random = new Random(seed);
        var right = 0;
        for (var i = 0; i < Histories; i++)
        {
            var entries = RandomHistory(random);
            var expected = HasOrder(entries, ContextState.Empty);
            right += expected ? 1 : 0;
            var result = new LinearizabilityChecker<ContextState>(Specification).Check(new History(entries));
            Expect.That(
                result.Verdict == (expected ? Verdict.Linearizable : Verdict.Violation),
                $"history {i}, IOMMUFD_SEED={seed}, that {(expected ? "has an order" : "has none")}: {LinearizabilityReport.Write(result)}");
        }

        output.WriteLine($"{right} of {Histories} have an order.");
        Expect.That(right is > Histories / 10 and < Histories * 9 / 10, $"Of {Histories} histories {right} have an order, which compares little.");
    }

    // A few ioctls that matter to each other, done in a random order within their times; some answers are lost, and some replaced by another's.
    private static List<HistoryEntry> RandomHistory(Random random)
    {
        var operations = Enumerable.Range(0, random.Next(4, 8))
            .Select(_ => (Ioctl: RandomIoctl(random), Point: random.Next(20), IsKnown: random.Next(3) != 0, Runs: random.Next(3) != 0))
            .OrderBy(operation => operation.Point)
            .ToList();
        var state = ContextState.Empty;
        var entries = new List<HistoryEntry>();
        foreach (var (ioctl, point, isKnown, runs) in operations)
        {
            var (next, answer) = Specification.Apply(state, ioctl);
            Expect.That(!Specification.ChangesNothing(ioctl, answer) || next.Equals(state), $"{ioctl.Command:X} that was answered {answer.Errno} can change nothing, and leads from {state} to {next}.");
            state = isKnown || runs ? next : state;
            entries.Add(new HistoryEntry
            {
                Client = entries.Count,
                Invoked = point - random.Next(8),
                Completed = isKnown ? point + random.Next(8) : null,
                Ioctl = ioctl,
                Answer = answer,
            });
        }

        var changed = random.Next(entries.Count);
        if (random.Next(4) != 0 && entries.Find(entry => entry.Ioctl.Command == entries[changed].Ioctl.Command && entry.Answer != entries[changed].Answer) is { } other)
        {
            entries[changed] = entries[changed] with { Answer = other.Answer };
        }

        return entries;
    }

    private static Ioctl RandomIoctl(Random random) => random.Next(12) switch
    {
        0 or 1 or 2 => Ioctl.Of(IommuCommand.IoasAlloc, default(IommuIoasAlloc)),
        3 or 4 => Ioctl.Of(IommuCommand.Destroy, new IommuDestroy { Id = (uint)random.Next(1, 4) }),
        5 => Ioctl.Of(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.MockDomain, Id = (uint)random.Next(1, 3) }),
        _ => Ioctl.Of(IommuCommand.Option, new IommuOption
        {
            OptionId = (uint)random.Next(2),
            Op = (ushort)random.Next(2),
            Val64 = (ulong)random.Next(2),
            ObjectId = (uint)random.Next(2),
        }),
    };

    private static bool HasOrder(List<HistoryEntry> open, ContextState state)
    {
        if (open.TrueForAll(entry => entry.Completed is null))
        {
            return true;
        }

        var firstReturn = open.Min(entry => entry.Completed);
        return open.Exists(entry =>
        {
            var (next, answer) = Specification.Apply(state, entry.Ioctl);
            return entry.Invoked <= firstReturn
                && (entry.Completed is null || answer == entry.Answer)
                && HasOrder(open.FindAll(other => other != entry), next);
        });
    }
}
