using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;

namespace IommuFd.TestSupport;

/// <summary>
/// The place of a test's journals: it starts empty and is deleted with the test. Any number of stores can be opened on it, and it can be
/// damaged behind their back, as disks and people do.
/// </summary>
public abstract class JournalPlace : IAsyncDisposable
{
    /// <summary>The settings of a silo that stores its journals here.</summary>
    public JournalSettings Settings { get; protected init; } = new();

    /// <summary>The table of records.</summary>
    public virtual string Records => "journal_records";

    /// <summary>Creates a store on this place.</summary>
    /// <param name="settings">Settings to use in place of <see cref="Settings"/>.</param>
    public abstract IJournalStore OpenStore(JournalSettings? settings = null);

    /// <summary>Creates a store on this place and initializes it.</summary>
    public async Task<IJournalStore> OpenInitializedStoreAsync()
    {
        var store = OpenStore();
        await store.InitializeAsync(CancellationToken.None);
        return store;
    }

    /// <summary>Removes the last byte of the frame of a context's last record, as a torn write does.</summary>
    public async Task TruncateLastRecordAsync(ContextKey key)
    {
        var last = $"{Records} WHERE key = @key AND position = (SELECT max(position) FROM {Records} WHERE key = @key)";
        await ReplaceFrameAsync(last, key, 0, frame => frame[..^1]);
    }

    /// <summary>Inverts the lowest bit in the middle of a record's frame.</summary>
    public Task FlipByteInRecordAsync(ContextKey key, long position)
        => ReplaceFrameAsync($"{Records} WHERE key = @key AND position = @position", key, position, Flip);

    /// <summary>Inverts the lowest bit in the middle of a snapshot's frame.</summary>
    public Task FlipByteInSnapshotAsync(ContextKey key) => ReplaceFrameAsync("journal_snapshots WHERE key = @key", key, 0, Flip);

    /// <summary>Removes a record, which leaves a gap.</summary>
    public async Task DeleteRecordAsync(ContextKey key, long position)
    {
        await SortAsync();
        await ChangeOneAsync($"DELETE FROM {Records} WHERE key = @key AND position = @position", ("key", Key(key)), ("position", position));
    }

    /// <summary>Moves the release of all released contexts into the past.</summary>
    public abstract Task AgeReleasedAsync(TimeSpan by);

    /// <summary>Runs SQL.</summary>
    /// <returns>The number of rows changed.</returns>
    [SuppressMessage("Security", "CA2100", Justification = "Tests write it.")]
    public async Task<int> ExecuteAsync(string sql, params (string Name, object Value)[] parameters)
    {
        await using var connection = await ConnectAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        Add(command, parameters);
        return await command.ExecuteNonQueryAsync();
    }

    /// <summary>Runs SQL.</summary>
    /// <returns>The first value of the first row; null if there is none.</returns>
    [SuppressMessage("Security", "CA2100", Justification = "Tests write it.")]
    public async Task<object?> QueryAsync(string sql, params (string Name, object Value)[] parameters)
    {
        await using var connection = await ConnectAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        Add(command, parameters);
        return await command.ExecuteScalarAsync();
    }

    /// <summary>Moves each record into its own row of <see cref="Records"/>.</summary>
    protected virtual Task SortAsync() => Task.CompletedTask;

    /// <summary>Opens a connection that bypasses the stores.</summary>
    public abstract Task<DbConnection> ConnectAsync();

    /// <summary>All that is stored, byte for byte, while stores may be open.</summary>
    public abstract Task<byte[]> DumpAsync();

    /// <summary>A key as stored in the tables.</summary>
    public abstract object Key(ContextKey key);

    /// <inheritdoc/>
    public abstract ValueTask DisposeAsync();

    private static byte[] Flip(byte[] frame)
    {
        frame[frame.Length / 2] ^= 1;
        return frame;
    }

    private static void Add(DbCommand command, (string Name, object Value)[] parameters)
    {
        foreach (var (name, value) in parameters)
        {
            var parameter = command.CreateParameter();
            parameter.ParameterName = name;
            parameter.Value = value;
            command.Parameters.Add(parameter);
        }
    }

    private async Task ReplaceFrameAsync(string rows, ContextKey key, long position, Func<byte[], byte[]> replace)
    {
        await SortAsync();
        var (table, where) = (rows.Split(' ')[0], rows[rows.IndexOf("WHERE", StringComparison.Ordinal)..]);
        (string, object)[] parameters = [("key", Key(key)), ("position", position)];
        var frame = await QueryAsync($"SELECT frame FROM {rows}", parameters) as byte[] ?? throw new InvalidOperationException($"{key} has no {rows}.");
        await ChangeOneAsync($"UPDATE {table} SET frame = @frame {where}", [.. parameters, ("frame", replace(frame))]);
    }

    private async Task ChangeOneAsync(string sql, params (string Name, object Value)[] parameters)
    {
        var changed = await ExecuteAsync(sql, parameters);
        if (changed != 1)
        {
            throw new InvalidOperationException($"{sql} changed {changed} rows instead of 1.");
        }
    }
}
