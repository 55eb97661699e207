using IommuFd.Bench.Harness;
using IommuFd.Bench.Yardsticks;

namespace IommuFd.Bench.Sections;

// A driver's call goes to the context, which decides, and from there to the IOAS, which changes: two hops. Two pairs differ. Detaching a
// device without reserved regions from a HWPT that stays changes nothing in the IOAS, so this pair has its own yardstick. Replacing an IOAS
// changes two of them one after the other; that has no yardstick and is measured against two hops like the others.

/// <summary>
/// Attaching, moving and detaching devices through the SDK: against hops, and on IOASes with many areas against IOASes with few.
/// </summary>
internal static class DeviceSection
{
    private const string Section = "device";
    private const int Bytes = 24;

    private static readonly int[] Sizes = [10, 1_000];
    private static readonly string[] Names = [DeviceSet.AttachIoasName, DeviceSet.AttachHwptName, DeviceSet.ReplaceHwptName, DeviceSet.ReplaceIoasName];
    private static readonly Func<DeviceSet, Load>[] Pairs = [set => set.AttachIoas, set => set.AttachHwpt, set => set.ReplaceHwpt, set => set.ReplaceIoas];

    public static async Task RunAsync(BenchRun run)
    {
        if (!Names.Any(name => Sizes.Any(areas => run.Options.Selects(Section, DeviceSet.Among(name, areas)))))
        {
            return;
        }

        await using var few = await DeviceSet.OpenAsync(run, Sizes[0]);
        await using var many = await DeviceSet.OpenAsync(run, Sizes[1]);
        await CompareHopsAsync(run, few, many);
        foreach (var pair in Pairs)
        {
            await run.CompareAsync(Section, pair(few), (pair(many), null));
        }
    }

    private static async Task CompareHopsAsync(BenchRun run, DeviceSet few, DeviceSet many)
    {
        await using var hops = await ContextSet.OpenAsync(run, contexts: 1, callers: 1);
        await run.CompareAsync(
            Section,
            hops.TwoHops(Bytes),
            (few.AttachIoas, null), (many.AttachIoas, null),
            (few.ReplaceHwpt, null), (many.ReplaceHwpt, null),
            (few.ReplaceIoas, null), (many.ReplaceIoas, null));
        await run.CompareAsync(
            Section,
            hops.Load($"two hops, one hop, {Bytes} B", 2, TwoHopsOneHopAsync, reply => reply.Argument.Length == Bytes),
            (few.AttachHwpt, null), (many.AttachHwpt, null));
    }

    private static async ValueTask<YardstickReply> TwoHopsOneHopAsync(CallTarget target)
    {
        await target.Relay.RelayAsync(new YardstickRequest { Argument = new byte[Bytes] });
        return await target.Ping.PingAsync(new YardstickRequest { Argument = new byte[Bytes] });
    }
}
