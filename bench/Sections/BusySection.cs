using System.Diagnostics;
using IommuFd.Bench.Harness;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>Ioctls while two other processes want all the processor time that they can get, against a hop in the same circumstances.</summary>
internal static class BusySection
{
    private const string Section = "busy";
    private const int Spinning = 2;

    private static readonly ObjectId Missing = new(1_000_000_000);

    public static async Task RunAsync(BenchRun run)
    {
        string[] names = ["DESTROY of a missing id", "DESTROY of a missing id, SDK"];
        if (!Array.Exists(names, name => run.Options.Selects(Section, $"{name}, busy")))
        {
            return;
        }

        Process[] others = [.. Enumerable.Range(0, Spinning).Select(_ => Process.Start("sh", ["-c", "while :; do :; done"]))];
        try
        {
            foreach (var callers in new[] { 1, 100 })
            {
                await using var set = await ContextSet.OpenAsync(run, contexts: 1, callers);
                await run.CompareAsync(
                    $"{Section}, {callers} caller{(callers == 1 ? "" : "s")}",
                    set.OneHop(bytes: 8),
                    (set.Ioctl($"{names[0]}, busy", Ioctls.Destroy(Missing), Errno.ENOENT), null),
                    (set.Load($"{names[1]}, busy", 1, static target => target.Context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = Missing.Value }), static result => result.Errno == Errno.ENOENT), null));
            }
        }
        finally
        {
            foreach (var other in others)
            {
                other.Kill();
                other.Dispose();
            }
        }
    }
}
