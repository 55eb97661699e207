using IommuFd.Bench.Harness;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>DESTROY and IOAS_ALLOC in contexts with few and with very many objects.</summary>
internal static class ScaleSection
{
    private const string Section = "scale";

    // A prime that divides none of the sizes, so that the ids jump about and all of them come up.
    private const uint AllOver = 7919;

    private static readonly int[] Sizes = [10, 10_000, 1_000_000];
    private static readonly Target SameCost = Target.RatioAtLeast(0.9);

    public static async Task RunAsync(BenchRun run)
    {
        if (!Sizes.Any(live => run.Options.Selects(Section, Name(live, 0)) || run.Options.Selects(Section, Name(live, AllOver))))
        {
            return;
        }

        List<FilledContext> contexts = [];
        foreach (var live in Sizes)
        {
            var context = await FilledContext.OpenAsync(run);
            await context.AllocateAsync(live);
            contexts.Add(context);
        }

        foreach (var stride in (uint[])[0, AllOver])
        {
            await run.CompareAsync(
                Section,
                DestroyAlloc(contexts[0], stride),
                [.. contexts.Skip(1).Select(context => (DestroyAlloc(context, stride), (Target?)SameCost))]);
        }

        foreach (var context in contexts)
        {
            await context.Context.DisposeAsync();
        }
    }

    private static string Name(int live, uint stride) => $"DESTROY, IOAS_ALLOC, {(stride == 0 ? "one id" : "ids all over")}, among {live:#,0}";

    private static Load<bool> DestroyAlloc(FilledContext context, uint stride)
    {
        uint last = 0;
        return new Load<bool>(Name(context.Live, stride), callers: 1, operations: 2, _ => DestroyAllocAsync(), done => done);

        async ValueTask<bool> DestroyAllocAsync()
        {
            last = (last + stride) % (uint)context.Live;
            var id = new ObjectId(last + 1);
            var destroyed = await context.Grain.IoctlAsync(Ioctls.Destroy(id), default);
            return destroyed.Errno == Errno.None && Ioctls.AllocatedId(await context.Grain.IoctlAsync(Ioctls.Alloc, default)) == id;
        }
    }
}
