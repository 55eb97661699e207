using IommuFd.GrainInterfaces;

namespace IommuFd.Cli.Running;

/// <summary>Says what a program left for close to clean up. What was made and left at the same places is said once.</summary>
internal static class LeakReport
{
    private const int Listed = 8;

    public static void Write(IReadOnlyList<LeakyContext> contexts)
    {
        var code = new CodeNames();
        var objects = contexts.Sum(context => context.Objects.Count);
        Terminal.Error(objects == 0
            ? "iommufd run: no object was left for close to clean up"
            : $"iommufd run: {Format.Count(objects, "object")} left for close to clean up, in {Format.Count(contexts.Count, "context")}:");
        foreach (var alike in contexts.GroupBy(context => Describe(context, code)))
        {
            var first = alike.First();
            var more = alike.Count() - 1;
            Terminal.Error($"  descriptor {first.Descriptor} of process {first.Process}{(more > 0 ? $", and {Format.Count(more)} more" : "")}, {alike.Key.Life}");
            foreach (var made in alike.Key.Objects.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                Terminal.Error($"    {made}");
            }
        }
    }

    private static (string Life, string Objects) Describe(LeakyContext context, CodeNames code)
    {
        var end = context.Closer is { } closer ? $"close at {Plain.Line(code.Of(closer))}" : "exit";
        var objects = context.Objects.GroupBy(item => (item.Object.Type, item.Command, item.Caller)).Select(made =>
            Plain.Line($"{Format.List([.. made.Take(Listed).Select(item => item.Object)], made.Count())}, made by {made.Key.Command} at {code.Of(made.Key.Caller)}"));
        return ($"opened at {code.Of(context.Caller)}, ended by {end}:", string.Join('\n', objects));
    }
}
