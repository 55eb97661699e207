using System.CommandLine;
using System.Globalization;
using IommuFd.Uapi;

namespace IommuFd.Cli.Running;

/// <summary>Which calls of the program are to fail: what <c>--fail</c> and <c>--fail-nth</c> say, in the form that the bridge reads.</summary>
internal static class FaultOptions
{
    // The bridge has room for so many.
    private const int MostRules = 16;

    private const uint OpenCommand = 0;

    private static readonly Option<string[]> FailOption = new("--fail")
    {
        Description = "COMMAND[:N][=ERRNO]: the Nth such ioctl of a process fails, the first if there is no N, with ENOMEM if there is no ERRNO; 'open' is the open of /dev/iommu. May be repeated. For example IOAS_MAP:3=EFAULT.",
    };

    private static readonly Option<uint?> NthOption = new("--fail-nth")
    {
        Description = "The Nth failure point that a process passes fails with ENOMEM: each call has one or more places where the service can run out of memory.",
    };

    public static void AddTo(Command command)
    {
        command.Options.Add(FailOption);
        command.Options.Add(NthOption);
    }

    /// <summary>What the program's environment says of its faults.</summary>
    public static IEnumerable<KeyValuePair<string, string>> EnvironmentOf(ParseResult options)
    {
        if (options.GetValue(FailOption) is { Length: > 0 } rules)
        {
            yield return new("IOMMUFD_FAIL", rules.Length <= MostRules ? string.Join(',', rules.Select(RuleOf)) : throw new CliException($"--fail can be given {MostRules} times, not {rules.Length}."));
        }

        if (options.GetValue(NthOption) is { } nth)
        {
            yield return new("IOMMUFD_FAIL_NTH", nth.ToString(CultureInfo.InvariantCulture));
        }
    }

    /// <summary>A rule as the bridge reads it: numbers with colons between.</summary>
    internal static string RuleOf(string rule)
    {
        var (what, errnoName) = Split(rule, '=', "ENOMEM");
        var (name, count) = Split(what, ':', "1");
        return string.Create(CultureInfo.InvariantCulture, $"{CommandOf(name, rule)}:{CountOf(count, rule)}:{(int)ErrnoOf(errnoName, rule)}");
    }

    private static (string Before, string After) Split(string text, char at, string missing)
        => text.IndexOf(at, StringComparison.Ordinal) is >= 0 and var index ? (text[..index], text[(index + 1)..]) : (text, missing);

    private static uint CommandOf(string name, string rule)
        => name == "open" ? OpenCommand
            : IoctlTable.All.Concat(VfioTable.All).FirstOrDefault(command => command.Name == name || command.Name == $"IOMMU_{name}")?.Number
                ?? throw new CliException($"--fail {rule}: no command is called '{name}'. For example IOAS_MAP, HWPT_ALLOC, VFIO_IOMMU_MAP_DMA, or open.");

    private static uint CountOf(string count, string rule)
        => uint.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number : throw new CliException($"--fail {rule}: '{count}' is no number from 1 on.");

    private static Errno ErrnoOf(string name, string rule)
        => Enum.TryParse<Errno>(name, out var errno) && errno != Errno.None && Enum.IsDefined(errno) && !char.IsDigit(name[0])
            ? errno
            : throw new CliException($"--fail {rule}: there is no errno '{name}'. For example ENOMEM, EFAULT, EBUSY.");
}
