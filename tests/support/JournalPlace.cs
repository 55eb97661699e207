using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Silo.Journals;

namespace IommuFd.TestSupport;

/// <summary>
/// Where the journals of a test are kept: an empty place that goes with the test, on which any number of stores can be opened, and which can be damaged as
/// disks and people do it, behind the stores' back.
/// </summary>
public abstract class JournalPlace : IAsyncDisposable
{
    /// <summary>What a silo must be told to keep its journals here.</summary>
    public JournalSettings Settings { get; protected init; } = new();

    /// <summary>The table of records.</summary>
    public virtual string Records => "journal_records";

    /// <summary>Makes a store on this place.</summary>
    /// <param name="settings">Other settings than <see cref="Settings"/>.</param>
    public abstract IJournalStore OpenStore(JournalSettings? settings = null);

    /// <summary>Makes a store on this place, and initializes it.</summary>
    public async Task<IJournalStore> OpenInitializedStoreAsync()
    {
        var store = OpenStore();
        await store.InitializeAsync(CancellationToken.None);
        return store;
    }

    /// <summary>Takes the last byte from the frame of a context's last record, as a write does that was torn.</summary>
    public async Task TruncateLastRecordAsync(ContextHandle handle)
    {
        var last = $"{Records} WHERE handle = @handle AND position = (SELECT max(position) FROM {Records} WHERE handle = @handle)";
        await ReplaceFrameAsync(last, handle, 0, frame => frame[..^1]);
    }

    /// <summary>Inverts the lowest bit in the middle of a record's frame.</summary>
    public Task FlipByteInRecordAsync(ContextHandle handle, long position)
        => ReplaceFrameAsync($"{Records} WHERE handle = @handle AND position = @position", handle, position, Flip);

    /// <summary>Inverts the lowest bit in the middle of a snapshot's frame.</summary>
    public Task FlipByteInSnapshotAsync(ContextHandle handle) => ReplaceFrameAsync("journal_snapshots WHERE handle = @handle", handle, 0, Flip);

    /// <summary>Removes a record, so that there is a gap where it was.</summary>
    public async Task DeleteRecordAsync(ContextHandle handle, long position)
    {
        await SortAsync();
        await ChangeOneAsync($"DELETE FROM {Records} WHERE handle = @handle AND position = @position", ("handle", Key(handle)), ("position", position));
    }

    /// <summary>Makes all released contexts released so much earlier.</summary>
    public abstract Task AgeReleasedAsync(TimeSpan by);

    /// <summary>Runs SQL.</summary>
    /// <returns>How many rows it changed.</returns>
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
    /// <returns>The first value of its first row; null where there is none.</returns>
    [SuppressMessage("Security", "CA2100", Justification = "Tests write it.")]
    public async Task<object?> QueryAsync(string sql, params (string Name, object Value)[] parameters)
    {
        await using var connection = await ConnectAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        Add(command, parameters);
        return await command.ExecuteScalarAsync();
    }

    /// <summary>Puts each record into a row of its own in <see cref="Records"/>.</summary>
    protected virtual Task SortAsync() => Task.CompletedTask;

    /// <summary>Opens a connection past all stores.</summary>
    public abstract Task<DbConnection> ConnectAsync();

    /// <summary>A handle as the tables have it.</summary>
    public abstract object Key(ContextHandle handle);

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

    private async Task ReplaceFrameAsync(string rows, ContextHandle handle, long position, Func<byte[], byte[]> replace)
    {
        await SortAsync();
        var (table, where) = (rows.Split(' ')[0], rows[rows.IndexOf("WHERE", StringComparison.Ordinal)..]);
        (string, object)[] parameters = [("handle", Key(handle)), ("position", position)];
        var frame = await QueryAsync($"SELECT frame FROM {rows}", parameters) as byte[] ?? throw new InvalidOperationException($"There is no {rows} of {handle}.");
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
