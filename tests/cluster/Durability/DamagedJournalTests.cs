using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Durability;

/// <summary>A journal that is torn at its end loses what was being written; one that is damaged elsewhere stops its context, and no other.</summary>
public sealed class DamagedJournalTests : IAsyncLifetime
{
    private SqliteJournalPlace _place = null!;
    private readonly ContextHandle _handle = ContextHandle.NewRandom();
    private readonly ContextHandle _other = ContextHandle.NewRandom();
    private JournalSilo _silo = null!;

    public async Task InitializeAsync()
    {
        _place = JournalSilo.NewPlace();
        await StartAsync();
        foreach (var handle in (ContextHandle[])[_handle, _other])
        {
            // Records 1 to 4: open, and three IOASes.
            Assert.Equal(Errno.None, (await _silo.Context(handle).OpenAsync(new OpenRequest(null, "test"))).Errno);
            for (var i = 0; i < 3; i++)
            {
                Assert.Equal(Errno.None, (await _silo.Context(handle).IoctlAsync(Requests.Alloc(), default)).Errno);
            }
        }

        await _silo.DisposeAsync();
    }

    public async Task DisposeAsync()
    {
        await _silo.DisposeAsync();
        await _place.DisposeAsync();
    }

    [Fact]
    public async Task A_torn_record_at_the_end_is_dropped_and_the_context_goes_on()
    {
        await _place.TruncateLastRecordAsync(_handle.Key);
        await StartAsync();

        Assert.Equal("1, 2", await IdsAsync(_handle));
        Assert.Equal(Errno.None, (await AllocAsync(_handle)).Errno);
        await _silo.DisposeAsync();
        await StartAsync();
        Assert.Equal("1, 2, 3", await IdsAsync(_handle));
        Assert.Equal("1, 2, 3", await IdsAsync(_other));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_damaged_record_stops_its_context_with_a_clear_error_and_no_other(long position)
    {
        await _place.FlipByteInRecordAsync(_handle.Key, position);
        await StartAsync();

        await ExpectDamagedAsync((ulong)position);
        Assert.Equal("1, 2, 3", await IdsAsync(_other));
        Assert.Equal(Errno.None, (await AllocAsync(_other)).Errno);
    }

    [Fact]
    public async Task A_record_that_is_missing_stops_its_context()
    {
        await _place.DeleteRecordAsync(_handle.Key, 2);
        await StartAsync();

        await ExpectDamagedAsync(2);
    }

    [Fact]
    public async Task A_damaged_snapshot_stops_its_context()
    {
        await _place.TruncateLastRecordAsync(_handle.Key);
        await StartAsync();
        Assert.Equal("1, 2", await IdsAsync(_handle));
        await _silo.DisposeAsync();
        await _place.FlipByteInSnapshotAsync(_handle.Key);
        await StartAsync();

        await ExpectDamagedAsync(0);
    }

    private async Task StartAsync() => _silo = await JournalSilo.StartAsync(_place.Settings.Path);

    private async Task ExpectDamagedAsync(ulong position)
    {
        var reply = await AllocAsync(_handle);
        Assert.Equal((Errno.EIO, DiagnosticReason.JournalDamaged, position), (reply.Errno, reply.Diagnostic!.Reason, reply.Diagnostic.Value));
        var inspection = await Requests.UntilAnsweredAsync(() => _silo.Context(_handle).InspectAsync(new InspectRequest(default, 1, false), default));
        Assert.Equal(Errno.EIO, inspection.Errno);
    }

    private Task<IoctlReply> AllocAsync(ContextHandle handle) => Requests.UntilAnsweredAsync(() => _silo.Context(handle).IoctlAsync(Requests.Alloc(), default).AsTask());

    private async Task<string> IdsAsync(ContextHandle handle)
    {
        var inspection = await Requests.UntilAnsweredAsync(() => _silo.Context(handle).InspectAsync(new InspectRequest(default, 100, false), default));
        return string.Join(", ", inspection.Objects.Select(item => item.Object.Id));
    }
}
