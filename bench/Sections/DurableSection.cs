using System.Diagnostics;
using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;
using IommuFd.Grains.Journaling;
using IommuFd.Silo;
using IommuFd.Silo.Journals;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.Bench.Sections;

// A durable ioctl waits for the disk, a volatile one does not: their ratio says what durability costs on this disk, and nothing about
// Orleans. Our part is that a hundred contexts share the wait of one, and that a context with a long history recovers quickly.

/// <summary>Durable contexts against volatile ones, group commit, and recovery, in each store.</summary>
internal static class DurableSection
{
    private const string Section = "durable";
    private const int Contexts = 100;
    private const int LiveObjects = 1_000;
    private const int BatchSize = 1_000;
    private const int Together = 32;

    private static readonly Target OfOneContext = Target.RatioAtLeast(10);
    private static readonly Target RecoveryMilliseconds = Target.ValueAtMost(2_000);

    public static async Task RunAsync(BenchRun run)
    {
        if (run.Options.Filter is { } filter && !Section.StartsWith(filter, StringComparison.OrdinalIgnoreCase))
        {
            return;
        }

        var folder = Directory.CreateTempSubdirectory("iommufd-bench-");
        try
        {
            await RunStoreAsync(run, "SQLite", 10, new JournalSettings { Store = JournalStoreKind.Sqlite, Path = Path.Combine(folder.FullName, "journal.db") });
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        await using var server = new PostgresServer();
        await server.InitializeAsync();
        await RunStoreAsync(
            run, "PostgreSQL", 15, new JournalSettings { Store = JournalStoreKind.Postgres, ConnectionString = await server.CreateDatabaseAsync() });
    }

    private static async Task RunStoreAsync(BenchRun run, string store, double ofTogether, JournalSettings journal)
    {
        using var silo = await SiloHost.StartInProcessAsync(
            contexts: new ContextOptions { DefaultMode = ContextMode.Durable, Lease = TimeSpan.Zero }, journal: journal);
        var grains = silo.Services.GetRequiredService<IGrainFactory>();
        var one = await PairsAsync(grains, $"{store}, 1 durable context", 1);
        var many = await PairsAsync(grains, $"{store}, {Contexts} durable contexts", Contexts);
        await run.CompareAsync(Section, await PairsAsync(run.Grains, "1 volatile context", 1), (one, null));
        await run.CompareAsync(Section, await PairsAsync(run.Grains, $"{Contexts} volatile contexts", Contexts), (many, null));
        await run.CompareAsync(Section, one, (many, OfOneContext));
        await using (var context = await new IommufdClient(grains).OpenAsync("bench"))
        {
            await run.CompareAsync(
                Section, SdkPairs($"{store}, 1 durable context, SDK, one at a time", context, 1),
                (SdkPairs($"{store}, 1 durable context, SDK, {Together} under way", context, Together), Target.RatioAtLeast(ofTogether)));
        }

        await RecoverAsync(run, store, grains, silo.Services.GetRequiredService<IJournalStore>());
        await silo.StopAsync();
    }

    // The same of callers that share a context: what is under way together goes together.
    private static Load<bool> SdkPairs(string name, IommuContext context, int callers) => new(
        name, callers, operations: 2,
        async _ =>
        {
            await context.DestroyAsync(await context.AllocateIoasAsync());
            return true;
        },
        static done => done);

    // IOAS_ALLOC and DESTROY, one after the other, with one caller per context.
    private static async Task<Load> PairsAsync(IGrainFactory grains, string name, int count)
    {
        var contexts = new ContextCalls[count];
        for (var i = 0; i < count; i++)
        {
            contexts[i] = await OpenAsync(grains);
        }

        return new Load<IoctlReply>(
            name, count, operations: 2,
            async caller =>
            {
                var allocated = await contexts[caller].IoctlAsync(Ioctls.Alloc, default);
                return await contexts[caller].IoctlAsync(Ioctls.Destroy(Ioctls.AllocatedId(allocated)), default);
            },
            reply => reply.Errno == Errno.None);
    }

    private static async Task RecoverAsync(BenchRun run, string store, IGrainFactory grains, IJournalStore journal)
    {
        var ioctls = run.Options.IsQuick ? 50_000 : 1_000_000;
        var handle = ContextHandle.NewRandom();
        var context = await OpenAsync(grains, handle);
        await FillAsync(context, ioctls);
        var milliseconds = new List<double>();
        for (var i = 0; i < run.Options.Repetitions; i++)
        {
            await journal.AcquireAsync(handle.Key, "bench", CancellationToken.None);
            await ExpectUnavailableAsync(context);
            var start = Stopwatch.GetTimestamp();
            await UntilAnsweredAsync(context);
            milliseconds.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        run.Add(new Row
        {
            Section = Section,
            Name = $"{store}, recovery after {ioctls:#,0} ioctls, {LiveObjects:#,0} objects",
            Unit = "ms",
            Value = Spread.Of(milliseconds),
            Target = RecoveryMilliseconds,
        });
    }

    // Allocates live objects, then maps and unmaps on all of them until the context has run a number of ioctls.
    private static async Task FillAsync(ContextCalls context, int ioctls)
    {
        await BatchAsync(context, Enumerable.Repeat(Ioctls.Alloc, LiveObjects));
        for (var (done, round) = (LiveObjects, 0UL); done < ioctls; done += BatchSize, round++)
        {
            await BatchAsync(context, Enumerable.Range(0, BatchSize).Select(i =>
            {
                var ioas = new ObjectId((uint)(((i / 2) + (int)((round * BatchSize / 2) % LiveObjects)) % LiveObjects) + 1);
                return i % 2 == 0 ? Ioctls.MapPage(ioas, round * Ioctls.PageBytes) : Unmap(ioas, round < 4 ? 0 : (round - 2) / 2 * 2 * Ioctls.PageBytes);
            }));
        }
    }

    private static IoctlRequest Unmap(ObjectId ioas, ulong iova)
        => Ioctls.Request(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = ioas.Value, Iova = iova, Length = Ioctls.PageBytes });

    private static async Task BatchAsync(ContextCalls context, IEnumerable<IoctlRequest> requests)
    {
        var reply = await context.IoctlBatchAsync(new IoctlBatchRequest { Requests = [.. requests] }, default);
        if (reply.Errno != Errno.None)
        {
            throw new InvalidOperationException($"A batch to fill a context failed with {reply.Errno}.");
        }
    }

    private static Task<ContextCalls> OpenAsync(IGrainFactory grains) => OpenAsync(grains, ContextHandle.NewRandom());

    private static async Task<ContextCalls> OpenAsync(IGrainFactory grains, ContextHandle handle)
    {
        var context = new GrainChannel(grains).Find(handle);
        var reply = await context.OpenAsync(new OpenRequest(null, "bench"));
        return reply.Errno == Errno.None ? context : throw new InvalidOperationException($"Opening a context failed with {reply.Errno}.");
    }

    private static async Task ExpectUnavailableAsync(ContextCalls context)
    {
        try
        {
            await context.IoctlAsync(Ioctls.GetRlimitMode, default);
        }
        catch (ContextUnavailableException)
        {
            return;
        }

        throw new InvalidOperationException("An activation answered although its journal had been acquired by another.");
    }

    private static async Task UntilAnsweredAsync(ContextCalls context)
    {
        while (true)
        {
            try
            {
                await context.IoctlAsync(Ioctls.GetRlimitMode, default);
                return;
            }
            catch (Exception exception) when (exception is ContextUnavailableException or OrleansException)
            {
                await Task.Yield();
            }
        }
    }
}
