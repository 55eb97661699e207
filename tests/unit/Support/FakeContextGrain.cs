using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.Support;

/// <summary>What the SDK is told by a context that answers as the test says. Every call is noted.</summary>
internal sealed class FakeContextGrain : IContextGrain
{
    public List<object> Calls { get; } = [];

    /// <summary>The handles that the SDK asked for.</summary>
    public List<Guid> Keys { get; } = [];

    public Exception? Failure { get; set; }

    public Errno Errno { get; set; }

    public Func<IoctlRequest, IoctlReply> Ioctl { get; set; } = _ => IoctlReply.Success;

    public IoctlBatchReply Batch { get; set; } = new();

    public ReleaseReport? Release { get; set; }

    /// <summary>What drivers are answered, with <see cref="Errno"/>.</summary>
    public DriverReply Driver { get; set; } = new(Errno.None);

    public IGrainFactory Factory => FakeGrainFactory.For((_, key) =>
    {
        Keys.Add((Guid)key);
        return this;
    });

    public Task<ReferenceReply> OpenAsync(OpenRequest request) => Task.FromResult(Note(request, Reference(1)));

    public ValueTask<IoctlReply> IoctlAsync(IoctlRequest request) => ValueTask.FromResult(Ioctl(Note(request, request)));

    public ValueTask<IoctlBatchReply> IoctlBatchAsync(IoctlBatchRequest request) => ValueTask.FromResult(Note(request, Batch));

    public Task<ReferenceReply> GetAsync(GetRequest request) => Task.FromResult(Note(request, Reference(2)));

    public Task<RenewReply> RenewAsync(ReferenceId[] references) => Task.FromResult(Note(references, new RenewReply(Errno, [])));

    public Task SweepAsync() => Task.FromResult(Note("sweep", 0));

    public Task<PutReply> PutAsync(ReferenceId reference) => Task.FromResult(Note(reference, new PutReply(Errno, Release, Diagnostic)));

    public ValueTask<DriverReply> DriverAsync(ReferenceId reference, DriverRequest request, OperationId operation)
        => ValueTask.FromResult(Note((reference, request), Driver with { Errno = Errno }));

    public Task<HolderGraph> InspectGraphAsync(GraphRequest request) => Task.FromResult(Note(request, new HolderGraph { Errno = Errno }));

    public Task<ObjectInspection?> InspectObjectAsync(ObjectId id, StatePage page) => Task.FromResult<ObjectInspection?>(Note<ObjectInspection?>((id, page), null));

    public Task<ContextInspection> InspectAsync(InspectRequest request, CancellationToken cancellationToken)
        => Task.FromResult(Note(request, new ContextInspection { Errno = Errno, Silo = "silo" }));

    private IoctlDiagnostic? Diagnostic => Errno == Errno.None ? null : new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen };

    private ReferenceReply Reference(long id) => new(Errno, new ReferenceId(id), default, ContextMode.Volatile, Diagnostic);

    private T Note<T>(object call, T answer)
    {
        Calls.Add(call);
        return Failure is null ? answer : throw Failure;
    }
}
