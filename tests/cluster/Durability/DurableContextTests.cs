using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Durability;

/// <summary>What a durable context has answered lasts, whatever becomes of the activation that has answered.</summary>
public sealed class DurableContextTests : IAsyncLifetime
{
    private const long Session = 42;

    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-durable").FullName;
    private readonly ContextHandle _handle = ContextHandle.NewRandom();
    private JournalSilo _silo = null!;

    private string Path => System.IO.Path.Combine(_folder, "journal.db");

    private ContextCalls Context => _silo.Context(_handle);

    public async Task InitializeAsync() => _silo = await JournalSilo.StartAsync(Path);

    public async Task DisposeAsync()
    {
        await _silo.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task The_mode_is_in_the_reply_to_open_and_in_the_inspection()
    {
        Assert.Equal(ContextMode.Durable, (await OpenAsync()).Mode);
        Assert.Equal(ContextMode.Durable, (await Context.InspectAsync(new InspectRequest(default, 1, false), default)).Mode);

        var other = _silo.Context(ContextHandle.NewRandom());
        Assert.Equal(ContextMode.Volatile, (await other.OpenAsync(new OpenRequest(ContextMode.Volatile, "volatile"))).Mode);
        Assert.Equal(ContextMode.Volatile, (await other.InspectAsync(new InspectRequest(default, 1, false), default)).Mode);
    }

    [Fact]
    public async Task A_context_whose_journal_was_taken_answers_nothing_and_comes_back_as_it_was_answered()
    {
        await OpenAsync();
        Assert.Equal(Errno.None, (await Context.IoctlAsync(Requests.Alloc(), default)).Errno);
        Assert.Equal(Errno.None, (await Context.IoctlAsync(Requests.Map(1, 0), default)).Errno);
        await _silo.StealAsync(_handle);

        await Assert.ThrowsAsync<ContextUnavailableException>(() => Context.IoctlAsync(Requests.Alloc(), default).AsTask());

        var again = await IoctlAsync(Requests.Map(1, 0));
        Assert.True(again.Errno == Errno.EEXIST, $"what was mapped is still mapped: {again.Errno} {again.Diagnostic}");
        Assert.Equal(1, (await InspectAsync()).ObjectCount);
    }

    [Fact]
    public async Task An_answer_that_changes_nothing_is_not_given_by_an_activation_that_is_not_the_contexts_any_more()
    {
        await OpenAsync();
        await _silo.StealAsync(_handle);

        await Assert.ThrowsAsync<ContextUnavailableException>(() => Context.IoctlAsync(Requests.Destroy(7), default).AsTask());
        Assert.Equal(Errno.ENOENT, (await IoctlAsync(Requests.Destroy(7))).Errno);
    }

    [Fact]
    public async Task Two_activations_at_once_are_harmless()
    {
        // Two clusters that know nothing of each other, on one journal: each has an activation of the context, and thinks that it is the only one.
        await using var other = await JournalSilo.StartAsync(Path);
        await OpenAsync();
        var (one, two) = (_silo.Context(_handle), other.Context(_handle));

        for (var i = 0; i < 20; i++)
        {
            var (answering, stale) = i % 2 == 0 ? (two, one) : (one, two);
            var allocated = await Requests.UntilAnsweredAsync(() => answering.IoctlAsync(Requests.Alloc(), default).AsTask());
            Assert.Equal(Errno.None, allocated.Errno);
            await Assert.ThrowsAsync<ContextUnavailableException>(() => stale.IoctlAsync(Requests.Destroy(1000), default).AsTask());
        }

        var inspection = await Requests.UntilAnsweredAsync(() => one.InspectAsync(new InspectRequest(default, 100, true), default));
        await Requests.UntilAnsweredAsync(() => one.IoctlAsync(Requests.Destroy(1000), default).AsTask());
        inspection = await one.InspectAsync(new InspectRequest(default, 100, true), default);
        Assert.Equal(Enumerable.Range(1, 20).Select(id => (uint)id), inspection.Objects.Select(item => item.Object.Id.Value));
    }

    [Fact]
    public async Task A_repeated_request_is_done_once_also_by_the_next_activation()
    {
        await OpenAsync();
        Assert.Equal(Errno.None, (await Context.IoctlAsync(Requests.Alloc(), new OperationId(Session, 1, 0))).Errno);
        Assert.Equal(Errno.None, (await Context.IoctlAsync(Requests.Destroy(1), new OperationId(Session, 2, 1))).Errno);
        await _silo.StealAsync(_handle);

        Assert.Equal(Errno.None, (await IoctlAsync(Requests.Destroy(1), new OperationId(Session, 2, 1, IsRepeat: true))).Errno);
        Assert.Equal(Errno.ENOENT, (await IoctlAsync(Requests.Destroy(1), new OperationId(Session, 3, 2))).Errno);
        Assert.Equal(Errno.ESTALE, (await IoctlAsync(Requests.Alloc(), new OperationId(Session, 1, 0, IsRepeat: true))).Errno);
    }

    [Fact]
    public async Task The_answer_to_a_repeat_lasts_although_it_changes_nothing()
    {
        await OpenAsync();
        var destroy = new OperationId(Session, 1, 0, IsRepeat: true);
        Assert.Equal(Errno.ENOENT, (await Context.IoctlAsync(Requests.Destroy(1), destroy)).Errno);
        Assert.Equal(Errno.None, (await Context.IoctlAsync(Requests.Alloc(), default)).Errno);
        await _silo.StealAsync(_handle);

        // The first attempt comes late: there is an IOAS 1 now, and it must stay.
        Assert.Equal(Errno.ENOENT, (await IoctlAsync(Requests.Destroy(1), destroy with { IsRepeat = false })).Errno);
        Assert.Equal(1, (await InspectAsync()).ObjectCount);
    }

    [Fact]
    public async Task Opening_and_closing_can_be_asked_again()
    {
        var opened = await OpenAsync();
        await _silo.StealAsync(_handle);
        Assert.Equal(opened, await Requests.UntilAnsweredAsync(OpenAsync));
        Assert.Equal(Errno.EEXIST, (await Context.OpenAsync(new OpenRequest(null, "somebody else", Session + 1))).Errno);
        await IoctlAsync(Requests.Alloc());

        var closed = await Context.PutAsync(opened.Reference);
        Assert.Equal(1, closed.Release!.Destroyed);
        var again = await Requests.UntilAnsweredAsync(() => Context.PutAsync(opened.Reference));
        Assert.Equal((Errno.None, closed.Release.Destroyed), (again.Errno, again.Release!.Destroyed));
        Assert.Equal(Errno.EBADF, (await IoctlAsync(Requests.Alloc())).Errno);
        Assert.Equal(Errno.EEXIST, (await Requests.UntilAnsweredAsync(OpenAsync)).Errno);
        Assert.Empty(await _silo.Store.ListAsync(null, 10, default));
    }

    [Fact]
    public async Task A_request_of_a_session_that_has_no_reference_is_EBADF()
    {
        await OpenAsync();
        var reply = await Context.IoctlAsync(Requests.Alloc(), new OperationId(Session + 1, 1, 0));
        Assert.Equal((Errno.EBADF, DiagnosticReason.SessionNotFound), (reply.Errno, reply.Diagnostic!.Reason));
        Assert.Equal(0, (await InspectAsync()).ObjectCount);
    }

    [Fact]
    public async Task A_context_outlives_its_silo()
    {
        var opened = await OpenAsync();
        await Context.IoctlAsync(Requests.Alloc(), default);
        await Context.IoctlAsync(Requests.Map(1, 0x5000), default);
        await _silo.DisposeAsync();
        _silo = await JournalSilo.StartAsync(Path);

        Assert.Equal(opened, await OpenAsync());
        Assert.Equal(Errno.EEXIST, (await IoctlAsync(Requests.Map(1, 0x5000))).Errno);
    }

    [Fact]
    public async Task A_silo_without_a_journal_has_no_durable_contexts()
    {
        using var host = await Silo.SiloHost.StartInProcessAsync();
        var grain = new GrainChannel(Microsoft.Extensions.DependencyInjection.ServiceProviderServiceExtensions.GetRequiredService<IGrainFactory>(host.Services)).Find(_handle);

        var reply = await grain.OpenAsync(new OpenRequest(ContextMode.Durable, "test"));

        Assert.Equal((Errno.EOPNOTSUPP, DiagnosticReason.NoJournal), (reply.Errno, reply.Diagnostic!.Reason));
        await host.StopAsync();
    }

    private Task<ReferenceReply> OpenAsync() => Context.OpenAsync(new OpenRequest(null, "test", Session));

    private Task<IoctlReply> IoctlAsync(IoctlRequest request, OperationId operation = default) => Requests.UntilAnsweredAsync(() => Context.IoctlAsync(request, operation).AsTask());

    private Task<ContextInspection> InspectAsync()
        => Requests.UntilAnsweredAsync(() => Context.InspectAsync(new InspectRequest(default, 100, WithState: false), default));
}
