using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.Support;

/// <summary>The fate of one call on its way.</summary>
internal sealed record Fault
{
    /// <summary>The exception that the caller gets instead of a reply.</summary>
    public Exception? Failure { get; init; }

    /// <summary>Whether the call runs nevertheless.</summary>
    public bool Runs { get; init; }

    /// <summary>A task that the reply or the failure waits for.</summary>
    public Task Until { get; init; } = Task.CompletedTask;

    /// <summary>The call does not run.</summary>
    public static Fault Fails(Exception failure) => new() { Failure = failure };

    /// <summary>The call runs, and its reply is lost.</summary>
    public static Fault Loses(Exception failure) => new() { Failure = failure, Runs = true };

    /// <summary>The call runs, and its reply comes late.</summary>
    public static Fault Delays(Task until) => new() { Until = until, Runs = true };

    /// <summary>The call does not run, and the caller is not told.</summary>
    public static Fault Drops() => new() { Until = new TaskCompletionSource().Task };
}

/// <summary>A context that answers the SDK as the test says. It records every call, with its name if it has one.</summary>
internal sealed class FakeContextGrain : IContextGrain
{
    public List<object> Calls { get; } = [];

    /// <summary>The names of the calls that have one, in their order.</summary>
    public List<OperationId> Operations { get; } = [];

    /// <summary>The handles that the SDK asked for.</summary>
    public List<ContextHandle> Handles { get; } = [];

    /// <summary>The errno that every call fails with.</summary>
    public Exception? Failure { get; set; }

    /// <summary>The fates of the next calls.</summary>
    public Queue<Fault> Faults { get; } = [];

    public Errno Errno { get; set; }

    public Func<IoctlRequest, IoctlReply> Ioctl { get; set; } = _ => IoctlReply.Success;

    public IoctlBatchReply Batch { get; set; } = new();

    public ReleaseReport? Release { get; set; }

    public TimeSpan Lease { get; set; }

    public ContextMode Mode { get; set; }

    /// <summary>The reply to puts; null for <see cref="Errno"/> and <see cref="Release"/>.</summary>
    public Func<PutReply>? Put { get; set; }

    /// <summary>The reply to renewals.</summary>
    public Func<ReferenceId[], RenewReply> Renew { get; set; } = _ => new RenewReply(Errno.None, []);

    /// <summary>The reply to drivers, with <see cref="Errno"/>.</summary>
    public DriverReply Driver { get; set; } = new(Errno.None);

    /// <summary>The reply to reads and writes of files.</summary>
    public Func<FileRequest, FileReply> File { get; set; } = _ => new FileReply(Errno.None);

    /// <summary>The reply to polls of files that wait for as long as given.</summary>
    public Func<TimeSpan, PollReply> Poll { get; set; } = _ => new PollReply(Errno.None);

    public IContextChannel Channel => new FakeChannel(handle =>
    {
        Handles.Add(handle);
        return this;
    })
    {
        Routes = Routes,
    };

    /// <summary>What tells clients that the ways to silos have changed.</summary>
    public RouteChanges Routes { get; } = new();

    public Task<ReferenceReply> OpenAsync(ContextHandle handle, OpenRequest request) => AnswerAsync(request, () => Reference(1) with { Errno = OpenErrnos.TryDequeue(out var errno) ? errno : Errno });

    /// <summary>The errnos of the next opens; after those, <see cref="Errno"/>.</summary>
    public Queue<Errno> OpenErrnos { get; } = new();

    public ValueTask<IoctlReply> IoctlAsync(ContextHandle handle, IoctlRequest request, OperationId operation) => new(AnswerAsync(request, () => Ioctl(request), operation));

    public ValueTask<IoctlBatchReply> IoctlBatchAsync(ContextHandle handle, IoctlBatchRequest request, OperationId operation) => new(AnswerAsync(request, () => Batch, operation));

    public async ValueTask<IoctlBatchReply> IoctlGroupAsync(ContextHandle handle, IoctlGroup group)
    {
        Groups.Add(group.Requests.Length);
        if (Group is { } answer)
        {
            return answer(group);
        }

        var replies = new IoctlReply[group.Requests.Length];
        for (var i = 0; i < replies.Length; i++)
        {
            replies[i] = await IoctlAsync(handle, group.Requests[i], group.Operations[i]);
        }

        return new IoctlBatchReply { Replies = replies };
    }

    /// <summary>The reply to groups; null to answer each of their ioctls.</summary>
    public Func<IoctlGroup, IoctlBatchReply>? Group { get; set; }

    /// <summary>How many ioctls each group had.</summary>
    public List<int> Groups { get; } = [];

    /// <summary>The parts of a batch's answer behind the first one, by the replies that the SDK has.</summary>
    public Func<int, IoctlBatchReply> Rest { get; set; } = _ => new IoctlBatchReply();

    public ValueTask<IoctlBatchReply> IoctlBatchRestAsync(ContextHandle handle, OperationId operation, int from) => new(AnswerAsync(("rest", from), () => Rest(from), operation));

    public Task<ReferenceReply> GetAsync(ContextHandle handle, GetRequest request) => AnswerAsync(request, () => Reference(2));

    public Task<RenewReply> RenewAsync(ContextHandle handle, ReferenceId[] references) => AnswerAsync(references, () => Renew(references));

    public Task<PutReply> PutAsync(ContextHandle handle, ReferenceId reference) => AnswerAsync(reference, () => Put?.Invoke() ?? new PutReply(Errno, Release, Diagnostic));

    public ValueTask<DriverReply> DriverAsync(ContextHandle handle, ReferenceId reference, DriverRequest request, OperationId operation)
        => new(AnswerAsync((reference, request), () => Driver with { Errno = Errno }, operation));

    public ValueTask<FileReply> FileAsync(ContextHandle handle, FileTarget target, FileRequest request, OperationId operation)
        => new(AnswerAsync((target, request), () => File(request), operation));

    public ValueTask<PollReply> PollFileAsync(ContextHandle handle, FileTarget target, TimeSpan wait) => new(AnswerAsync((target, wait), () => Poll(wait)));

    public Task<HolderGraph> InspectGraphAsync(ContextHandle handle, GraphRequest request) => AnswerAsync(request, () => new HolderGraph { Errno = Errno });

    public Task<ObjectInspection?> InspectObjectAsync(ContextHandle handle, ObjectId id, StatePage page) => AnswerAsync<ObjectInspection?>((id, page), () => null);

    public Task<ContextInspection> InspectAsync(ContextHandle handle, InspectRequest request, CancellationToken cancellationToken)
        => AnswerAsync(request, () => new ContextInspection { Errno = Errno, Silo = "silo" });

    public Task<TailReply> TailAsync(ContextHandle handle, TailRequest request) => AnswerAsync(request, () => new TailReply(Errno, 1, 0, 0, []));

    public Task<BusyExplanation> ExplainBusyAsync(ContextHandle handle, ObjectId id) => AnswerAsync(id, () => new BusyExplanation(Errno, default, 1, [], false));

    private IoctlDiagnostic? Diagnostic => Errno == Errno.None ? null : new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen };

    private ReferenceReply Reference(long id) => new(Errno, new ReferenceId(id), default, Mode, Diagnostic, Lease);

    private Task<T> AnswerAsync<T>(object call, Func<T> run, OperationId? operation = null)
    {
        Calls.Add(call);
        Operations.AddRange(operation is { } name ? [name] : []);
        var fault = Failure is not null ? Fault.Fails(Failure) : Faults.TryDequeue(out var next) ? next : null;
        var answer = fault is null or { Runs: true } ? run() : default!;
        var ended = fault?.Failure is { } failure ? Task.FromException<T>(failure) : Task.FromResult(answer);
        return fault is null or { Until.IsCompleted: true }
            ? ended
            : fault.Until.ContinueWith(_ => ended, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).Unwrap();
    }
}
