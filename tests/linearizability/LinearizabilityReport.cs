using System.Globalization;
using System.Text;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Linearizability;

/// <summary>
/// Formats the result of a check for people: for a violation, the end of the longest order that fits, and what can't come after it, decoded.
/// </summary>
internal static class LinearizabilityReport
{
    private const int ShownOfPrefix = 20;

    /// <summary>Formats a result.</summary>
    public static string Write(LinearizabilityResult result)
    {
        var text = new StringBuilder();
        var (all, unanswered) = result.Operations;
        var what = result.Verdict switch
        {
            Verdict.Linearizable => "linearizable",
            Verdict.Violation => "NOT LINEARIZABLE",
            _ => "UNKNOWN: the check reached its limit and proves nothing",
        };
        Line($"{what}: {all} operations, {unanswered} of them without an answer; {result.Steps} steps in {result.Elapsed.TotalSeconds:F1} s");
        if (result.Verdict == Verdict.Linearizable)
        {
            return text.ToString();
        }

        Line($"At most {result.Prefix.Count} operations could be put into an order. The last of these, by ns since the first was sent:");
        var origin = result.Prefix.Concat(result.Obstacles.Select(obstacle => obstacle.Entry)).Select(entry => entry.Invoked).DefaultIfEmpty().Min();
        foreach (var entry in result.Prefix.Skip(Math.Max(0, result.Prefix.Count - ShownOfPrefix)))
        {
            Line($"  {Times(entry, origin)} {Ask(entry)} = {(entry.Completed is null ? "no answer, assumed to have run" : Answer(entry.Ioctl, entry.Answer))}");
        }

        Line($"The state then is {result.State}");
        Line($"{(result.Obstacles.Count == 0 ? "The search did not end there." : "None of these, which could have come next, fits:")}");
        foreach (var obstacle in result.Obstacles)
        {
            Line($"  {Times(obstacle.Entry, origin)} {Ask(obstacle.Entry)}");
            Line($"      was answered     {Answer(obstacle.Entry.Ioctl, obstacle.Entry.Answer)}");
            Line($"      should have been {Answer(obstacle.Entry.Ioctl, obstacle.Expected)}");
        }

        return text.ToString();

        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
    }

    /// <summary>An ioctl as sent.</summary>
    public static string Ask(Ioctl ioctl) => $"{IoctlText.Name(ioctl.Command)} {IoctlText.Decode(ioctl.Command, ioctl.Argument)}";

    /// <summary>An answer: its errno, and the fields that it changed; the bytes if the command's fields don't show a change.</summary>
    public static string Answer(Ioctl ioctl, IoctlAnswer answer)
    {
        var errno = answer.Errno == Errno.None ? "0" : answer.Errno.ToString();
        if (answer.Argument.Length == 0)
        {
            return errno;
        }

        var changes = TestOp(ioctl) is { } op
            ? TestFields(op, answer.Argument)
            : IoctlText.Changes(ioctl.Command, ioctl.Argument, answer.Argument);
        return $"{errno} {(changes.Length > 0 ? changes : answer.Argument.AsSpan().SequenceEqual(ioctl.Argument) ? "{}" : Convert.ToHexStringLower(answer.Argument))}";
    }

    private static string Ask(HistoryEntry entry)
    {
        var test = TestOp(entry.Ioctl) is { } op ? $" {op} {TestFields(op, entry.Ioctl.Argument)}" : "";
        return $"client {entry.Client}: {Ask(entry.Ioctl)}{test}";
    }

    private static string Times(HistoryEntry entry, long origin)
        => string.Create(CultureInfo.InvariantCulture, $"[{entry.Invoked - origin}, {(entry.Completed is { } completed ? $"{completed - origin}" : "...")}]");

    private static IommuTestOp? TestOp(Ioctl ioctl)
        => ioctl.Command == (uint)IommuCommand.TestCmd ? (IommuTestOp)UapiStruct.Read<IommuTestCmd>(ioctl.Argument).Op : null;

    // The meaning of IOMMU_TEST_CMD's union depends on the op, which the table of fields does not cover.
    private static string TestFields(IommuTestOp op, byte[] argument)
    {
        var fields = UapiStruct.Read<IommuTestCmd>(argument).Fields;
        return op switch
        {
            IommuTestOp.MockDomain when fields.As<IommuTestMockDomain>() is var made
                => $"{{out_stdev_id={made.OutStdevId}, out_hwpt_id={made.OutHwptId}, out_idev_id={made.OutIdevId}}}",
            IommuTestOp.MockDomainReplace => $"{{pt_id={fields.As<IommuTestMockDomainReplace>().PtId}}}",
            IommuTestOp.MdCheckMap when fields.As<IommuTestCheckMap>() is var check
                => $"{{iova=0x{check.Iova:X}, length=0x{check.Length:X}, uptr=0x{check.Uptr:X}}}",
            IommuTestOp.MdCheckIotlb when fields.As<IommuTestCheckIotlb>() is var check => $"{{id={check.Id}, iotlb=0x{check.Iotlb:X}}}",
            IommuTestOp.DevCheckCache when fields.As<IommuTestCheckDevCache>() is var check => $"{{id={check.Id}, cache=0x{check.Cache:X}}}",
            _ => "",
        };
    }
}
