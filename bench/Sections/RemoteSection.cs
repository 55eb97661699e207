using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.TestSupport;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>A client in another process than the silo, over TCP: what is under way together goes together, against the same with a message for each ioctl.</summary>
internal static class RemoteSection
{
    private const string Section = "remote";
    private const int UnderWay = 256;

    private static readonly ObjectId Missing = new(1_000_000_000);

    public static async Task RunAsync(BenchRun run)
    {
        if (run.Options.Filter is { } filter && !Section.StartsWith(filter, StringComparison.OrdinalIgnoreCase))
        {
            return;
        }

        await using var server = new PostgresServer();
        await server.InitializeAsync();
        await using var cluster = await SiloCluster.StartAsync(await server.CreateDatabaseAsync(), silos: 1);
        var grains = await cluster.ConnectAsync();
        await using var context = await new IommufdClient(grains).OpenAsync("bench", ContextMode.Volatile);
        var calls = new GrainChannel(grains).Find(context.Handle);
        foreach (var callers in new[] { 1, UnderWay })
        {
            var name = callers == 1 ? "DESTROY of a missing id" : $"{callers} DESTROY of a missing id under way";
            await run.CompareAsync(
                Section,
                new Load<IoctlReply>($"{name}, a message each", callers, 1, _ => calls.IoctlAsync(Ioctls.Destroy(Missing), default), static reply => reply.Errno == Errno.ENOENT),
                (new Load<IoctlResult>($"{name}, SDK", callers, 1, _ => context.IoctlAsync(IommuCommand.Destroy, new IommuDestroy { Id = Missing.Value }), static result => result.Errno == Errno.ENOENT),
                callers == 1 ? null : Target.RatioAtLeast(4)));
        }
    }
}
