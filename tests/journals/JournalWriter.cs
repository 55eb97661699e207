using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.JournalTests;

/// <summary>Many contexts that write as fast as they can, and report each write that the journal says is made. Also a program, for a test that kills it.</summary>
internal sealed class JournalWriter(IJournal journal, Action<ContextKey, long> report)
{
    private const int Contexts = 16;
    private const int SnapshotEvery = 50;

    /// <summary>Writes until a commit fails, or the caller has enough.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var keys = await Task.WhenAll(Enumerable.Range(0, Contexts).Select(async _ =>
        {
            var key = ContextHandle.NewRandom().Key;
            await journal.Store.CreateAsync(key, journal.Owner, default);
            return key;
        }));
        await Task.WhenAll(keys.Select(key => WriteAsync(key, cancellationToken)));
    }

    /// <summary>The frame of a position, by which a reader can tell that the position is whole.</summary>
    public static byte[] Frame(ContextKey key, long position)
    {
        var frame = new byte[100 + (int)(position % 700)];
        new Random((int)position ^ (key.Value.ToByteArray()[0] << 24)).NextBytes(frame);
        return frame;
    }

    /// <summary>The program: <c>write FILE</c> writes into a SQLite store, a line for each write that is made.</summary>
    public static async Task<int> Main(string[] args)
    {
        if (args is not ["write", var path])
        {
            await Console.Error.WriteLineAsync("usage: write FILE");
            return 2;
        }

        var settings = new JournalSettings { Store = JournalStoreKind.Sqlite, Path = path };
        await using var store = new SqliteJournalStore(settings);
        await store.InitializeAsync(default);
        await using var journal = new GroupCommitJournal(store, "child", settings, NullLogger<GroupCommitJournal>.Instance);
        var output = Console.Out;
        await new JournalWriter(journal, (key, position) => output.WriteLine(Line(key, position))).RunAsync(default);
        return 0;
    }

    /// <summary>A report as a line; the mark at its end tells it from one that was cut off.</summary>
    public static string Line(ContextKey key, long position) => string.Create(CultureInfo.InvariantCulture, $"{key} {position};");

    /// <summary>Reads a line.</summary>
    /// <returns>Null where it was cut off.</returns>
    public static (ContextKey Key, long Position)? Parse(string line)
        => line.EndsWith(';') && line.Split(' ') is [var key, var position] && Guid.TryParseExact(key, "N", out var parsed)
            ? (new ContextKey(parsed), long.Parse(position[..^1], CultureInfo.InvariantCulture))
            : null;

    private async Task WriteAsync(ContextKey key, CancellationToken cancellationToken)
    {
        for (long position = 1; !cancellationToken.IsCancellationRequested; position++)
        {
            Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(new AppendRecord(key, 1, position, Frame(key, position))));
            report(key, position);
            if (position % SnapshotEvery == 0)
            {
                Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(new StoreSnapshot(key, 1, position, Frame(key, position))));
            }
        }
    }
}
