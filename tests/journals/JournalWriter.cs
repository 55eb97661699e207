using System.Globalization;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.JournalTests;

/// <summary>Many contexts that write as fast as they can, and report each write that the journal says is made. Also a program, for a test that kills it.</summary>
internal sealed class JournalWriter(IJournal journal, Action<ContextHandle, long> report)
{
    private const int Contexts = 16;
    private const int SnapshotEvery = 50;

    /// <summary>Writes until a commit fails, or the caller has enough.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var handles = await Task.WhenAll(Enumerable.Range(0, Contexts).Select(async _ =>
        {
            var handle = ContextHandle.NewRandom();
            await journal.Store.CreateAsync(handle, journal.Owner, default);
            return handle;
        }));
        await Task.WhenAll(handles.Select(handle => WriteAsync(handle, cancellationToken)));
    }

    /// <summary>The frame of a position, so that whoever finds it can tell that it is whole.</summary>
    public static byte[] Frame(ContextHandle handle, long position)
    {
        var frame = new byte[100 + (int)(position % 700)];
        new Random((int)position ^ (handle.Value.ToByteArray()[0] << 24)).NextBytes(frame);
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
        await new JournalWriter(journal, (handle, position) => output.WriteLine(Line(handle, position))).RunAsync(default);
        return 0;
    }

    /// <summary>A report as a line; the mark at its end tells it from one that was cut off.</summary>
    public static string Line(ContextHandle handle, long position) => string.Create(CultureInfo.InvariantCulture, $"{handle} {position};");

    /// <summary>Reads a line.</summary>
    /// <returns>Null where it was cut off.</returns>
    public static (ContextHandle Handle, long Position)? Parse(string line)
        => line.EndsWith(';') && line.Split(' ') is [var handle, var position] && ContextHandle.TryParse(handle, out var parsed)
            ? (parsed, long.Parse(position[..^1], CultureInfo.InvariantCulture))
            : null;

    private async Task WriteAsync(ContextHandle handle, CancellationToken cancellationToken)
    {
        for (long position = 1; !cancellationToken.IsCancellationRequested; position++)
        {
            Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(new AppendRecord(handle, 1, position, Frame(handle, position))));
            report(handle, position);
            if (position % SnapshotEvery == 0)
            {
                Assert.Equal(JournalOutcome.Committed, await journal.WriteAsync(new StoreSnapshot(handle, 1, position, Frame(handle, position))));
            }
        }
    }
}
