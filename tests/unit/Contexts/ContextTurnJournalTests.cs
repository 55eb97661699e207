using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Contexts;
using IommuFd.Grains.Journaling;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Contexts;

// No answer leaves that is not durable, and an activation that can't make one durable writes nothing more.

public sealed class ContextTurnJournalTests : IAsyncDisposable
{
    private static readonly PutRecord Record = new(new ReferenceId(7));
    private static readonly ReleasedReply Released = new(new ReferenceId(1), new PutReply(Errno.None, new ReleaseReport(3, [], []), null));

    private readonly OpenContext _context = new();
    private readonly IGrainContext _activation = FakeGrainContext.Create();
    private readonly MemoryJournal _store;
    private readonly ContextTurnJournal _journal;

    public ContextTurnJournalTests()
    {
        _store = new MemoryJournal(_context.Key);
        _journal = Journal(_store);
    }

    public ValueTask DisposeAsync() => _store.DisposeAsync();

    private IoctlScope Scope => new(_context.Model, _context.ObjectGrains);

    private bool IsDeactivated => ((FakeGrainContext)(object)_activation).HasLeft;

    [Fact]
    public async Task A_turn_that_changed_something_appends_its_record_and_one_that_changed_nothing_confirms_the_epoch()
    {
        await OpenAsync();
        await _journal.CommitAsync(Record, Scope);
        await _journal.CommitAsync(null, Scope);
        Expect.Equal("answer", await _journal.ReplayReplyAsync("answer", Scope), "what a repeat is answered");

        Expect.Sequence([typeof(AppendRecord), typeof(ConfirmEpoch), typeof(ConfirmEpoch)], _store.Writes.Select(write => write.GetType()), "what was written");
        Expect.That(!IsDeactivated, "An activation that can go on has left.");
    }

    [Fact]
    public async Task A_snapshot_is_taken_when_the_records_have_grown_as_large_as_one()
    {
        var journal = Journal(_store, snapshotAfterBytes: 0);
        Expect.Equal(null, await journal.CreateAsync(), "the refusal");
        await journal.CommitAsync(Record, Scope);
        Expect.Sequence([typeof(AppendRecord), typeof(StoreSnapshot)], _store.Writes.Select(write => write.GetType()), "what was written");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_write_that_is_fenced_or_fails_deactivates_and_nothing_is_written_behind_it(bool fails)
    {
        await OpenAsync();
        (_store.Outcome, _store.Failure) = fails ? (JournalOutcome.Committed, new JournalStoreException("The disk is full.")) : (JournalOutcome.Fenced, null);
        await Assert.ThrowsAsync<ContextUnavailableException>(() => _journal.CommitAsync(Record, Scope).AsTask());
        Expect.That(IsDeactivated && _journal.IsUnavailable, "The activation has not left.");

        (_store.Outcome, _store.Failure) = (JournalOutcome.Committed, null);
        await IsUnavailableAsync(writes: 1);
    }

    [Fact]
    public async Task A_lost_object_deactivates_before_anything_is_written()
    {
        var ioas = _context.AllocateIoas();
        var option = new IommuOption { OptionId = (uint)IommuOptionId.HugePages, ObjectId = ioas, Op = (ushort)IommuOptionOp.Set };
        _context.RunOk0(IommuCommand.Option, option);
        await OpenAsync();
        _context.GrainOf(ioas).Lose();
        Expect.Equal(Errno.EIO, _context.Run(IommuCommand.Option, option).Errno, "an ioctl on a lost object");

        await Assert.ThrowsAsync<ContextUnavailableException>(() => _journal.CommitAsync(Record, Scope).AsTask());
        await IsUnavailableAsync(writes: 0);
    }

    [Fact]
    public async Task An_activation_that_could_not_recover_its_context_does_not_end_its_journal()
    {
        // A sweep that comes then finds no context, as it does where an opener got no answer.
        JournalRecord opened = new OpenRecord(new OpenRequest(null, "test", 1), new ReferenceReply(Errno.None, new ReferenceId(1), default, ContextMode.Durable, null));
        var journal = Journal(new MemoryJournal(_context.Key, Serialization.Serializer.SerializeToArray(opened)));
        var recovered = await journal.RecoverAsync(new ObjectReach(_context.Grains.Factory, null), CancellationToken.None);
        Expect.That(recovered is { Context.IsOpen: true }, "The context was not recovered.");
        journal.Deactivate("the grain of an object failed while it was recovered");

        await Assert.ThrowsAsync<ContextUnavailableException>(() => journal.ReleaseAsync(Released).AsTask());
    }

    [Fact]
    public async Task The_put_that_released_a_context_can_be_repeated_and_its_handle_is_not_opened_again()
    {
        await OpenAsync();
        await _journal.ReleaseAsync(Released);

        Expect.Equal(typeof(ReleaseJournal), _store.Writes.Single().GetType(), "what was written");
        Expect.That(!_journal.IsDurable, "There are turns to commit after the release.");
        Expect.Equal(Released.Reply, _journal.FindReleasedReply(Released.Reference), "what the put is answered when it is repeated");
        Expect.Equal(null, _journal.FindReleasedReply(new ReferenceId(2)), "what another put is answered");
        Expect.Equal(Errno.EEXIST, (await _journal.CreateAsync())?.Errno, "the refusal to open it again");
    }

    [Fact]
    public async Task A_journal_without_an_open_context_is_abandoned_until_it_is_released()
    {
        Expect.That(!_journal.IsAbandoned(isOpen: false), "There is no journal.");
        await OpenAsync();
        Expect.That(_journal.IsAbandoned(isOpen: false), "Its opener got no answer.");
        Expect.That(!_journal.IsAbandoned(isOpen: true), "The context is open.");
        await _journal.ReleaseAsync(Released);
        Expect.That(!_journal.IsAbandoned(isOpen: false), "It is released.");
    }

    [Fact]
    public async Task Without_a_journal_turns_are_committed_at_once_and_durable_contexts_are_refused()
    {
        var journal = Journal(null);
        Expect.Equal(null, await journal.RecoverAsync(new ObjectReach(_context.Grains.Factory, null), CancellationToken.None), "what is recovered");
        var refusal = (await journal.CreateAsync())!;
        Expect.Equal((Errno.EOPNOTSUPP, DiagnosticReason.NoJournal), (refusal.Errno, refusal.Diagnostic!.Reason), "the refusal");
        Expect.That(journal.CommitAsync(Record, Scope).AsTask().IsCompletedSuccessfully, "A volatile turn waits.");
        Expect.Equal(DiagnosticReason.ContextNotOpen, journal.WhyUnavailable().Reason, "why no context is open");
    }

    [Fact]
    public async Task A_store_that_can_not_be_reached_deactivates_where_the_journal_is_taken_over_or_created()
    {
        _store.Failure = new JournalStoreException("Nobody answers.");
        await Assert.ThrowsAsync<ContextUnavailableException>(() => _journal.RecoverAsync(new ObjectReach(_context.Grains.Factory, null), CancellationToken.None).AsTask());
        var created = Journal(_store);
        await Assert.ThrowsAsync<ContextUnavailableException>(() => created.CreateAsync().AsTask());
        Assert.Throws<ContextUnavailableException>(() => _journal.WhyUnavailable());
        Expect.That(_journal.IsAbandoned(isOpen: false) && created.IsAbandoned(isOpen: false), "Nothing says that the store may have a journal.");
    }

    private async Task OpenAsync()
    {
        Expect.Equal(null, await _journal.CreateAsync(), "the refusal");
        Expect.That(_journal is { IsDurable: true, IsUnavailable: false }, "The journal was not created.");
    }

    private async Task IsUnavailableAsync(int writes)
    {
        Assert.Throws<ContextUnavailableException>(() => _journal.WhyUnavailable());
        await Assert.ThrowsAsync<ContextUnavailableException>(() => _journal.CommitAsync(Record, Scope).AsTask());
        await Assert.ThrowsAsync<ContextUnavailableException>(() => _journal.CommitAsync(null, Scope).AsTask());
        await Assert.ThrowsAsync<ContextUnavailableException>(() => _journal.ReleaseAsync(Released).AsTask());
        Expect.Equal(writes, _store.Writes.Count, "writes");
    }

    private ContextTurnJournal Journal(MemoryJournal? store, int snapshotAfterBytes = int.MaxValue)
        => new(_activation, _context.Key, store, Serialization.Serializer, snapshotAfterBytes, NullLogger.Instance);
}
