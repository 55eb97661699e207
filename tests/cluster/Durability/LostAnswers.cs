using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Configuration;

namespace IommuFd.ClusterTests.Durability;

/// <summary>What becomes of a call of a context's grain on its way.</summary>
internal enum CallFate
{
    /// <summary>It is answered.</summary>
    Answered = 0,

    /// <summary>It runs, and the caller is told that the silo is gone.</summary>
    AnswerLost,

    /// <summary>It does not run, and the caller is told that the silo is gone.</summary>
    NotSent,

    /// <summary>It runs, and nobody tells the caller.</summary>
    AnswerDropped,

    /// <summary>It runs when the gate opens, long after the caller has sent it again.</summary>
    Late,
}

/// <summary>Stands between a caller and contexts, and loses what a test tells it to lose.</summary>
internal sealed class LostAnswers : IOutgoingGrainCallFilter
{
    private readonly Lock _lock = new();
    private readonly Queue<CallFate> _fates = [];
    private TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<Task> _late = [];

    /// <summary>Calls of contexts' grains since the fates were given, renewals and inspections apart.</summary>
    public List<string> Calls { get; } = [];

    /// <summary>Says what becomes of the next calls.</summary>
    public void Next(params CallFate[] fates)
    {
        lock (_lock)
        {
            Calls.Clear();
            _fates.Clear();
            Array.ForEach(fates, _fates.Enqueue);
        }
    }

    /// <summary>Lets the late calls run, and waits for their end.</summary>
    public async Task RunLateAsync()
    {
        _gate.SetResult();
        await Task.WhenAll(_late);
        _late.Clear();
        _gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    public async Task Invoke(IOutgoingGrainCallContext context)
    {
        switch (FateOf(context))
        {
            case CallFate.AnswerLost:
                await context.Invoke();
                throw new SiloUnavailableException("The test has lost the answer.");
            case CallFate.NotSent:
                throw new SiloUnavailableException("The test has lost the request.");
            case CallFate.AnswerDropped:
                await context.Invoke();
                await new TaskCompletionSource().Task;
                break;
            case CallFate.Late:
                var late = LateAsync(context);
                lock (_lock)
                {
                    _late.Add(late);
                }

                await late;
                await new TaskCompletionSource().Task;
                break;
            default:
                await context.Invoke();
                break;
        }
    }

    private async Task LateAsync(IOutgoingGrainCallContext context)
    {
        await _gate.Task;
        await context.Invoke();
    }

    private CallFate FateOf(IOutgoingGrainCallContext context)
    {
        var method = context.InterfaceMethod;
        if (method.DeclaringType != typeof(IContextGrain) || method.Name is nameof(IContextGrain.InspectAsync) or nameof(IContextGrain.RenewAsync))
        {
            return CallFate.Answered;
        }

        lock (_lock)
        {
            Calls.Add(method.Name);
            return _fates.TryDequeue(out var fate) ? fate : CallFate.Answered;
        }
    }
}

/// <summary>A silo with a journal, and a client whose way to contexts loses what a test tells it to lose.</summary>
public sealed class LossyFixture : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-once").FullName;

    internal LostAnswers Way { get; } = new();

    internal JournalSilo Silo { get; private set; } = null!;

    public IommufdClient Client { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        Silo = await JournalSilo.StartAsync(
            Path.Combine(_folder, "journal.db"), new ContextOptions { Lease = TimeSpan.Zero }, silo => silo.AddOutgoingGrainCallFilter(Way));
        Client = new IommufdClient(Silo.Grains, new IommufdClientOptions { AttemptTimeout = TimeSpan.FromMilliseconds(300) });
    }

    public async Task DisposeAsync()
    {
        await Silo.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
