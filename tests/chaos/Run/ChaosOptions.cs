using IommuFd.Chaos.Faults;

namespace IommuFd.Chaos.Run;

/// <summary>The size of a run.</summary>
internal sealed record ChaosOptions
{
    /// <summary>How long faults are injected.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>The seed of all random choices. It does not determine the machine's timing.</summary>
    public required int Seed { get; init; }

    /// <summary>Number of silos, each in its own process.</summary>
    public int Silos { get; init; } = 3;

    /// <summary>Number of client processes.</summary>
    public int ClientProcesses { get; init; } = 3;

    /// <summary>Number of clients per context in each of these processes.</summary>
    public int Workers { get; init; } = 2;

    /// <summary>Number of contexts at a time.</summary>
    public int Contexts { get; init; } = 4;

    /// <summary>Number of ioctls that each client issues on a context.</summary>
    public int Ioctls { get; init; } = 200;

    /// <summary>How long a reference lives without a sign of life.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a round may take before it counts as hanging: the SDK gives up a request after 30 s, and opening and closing may each take
    /// as long.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(3);

    /// <summary>The faults that are injected; one that is listed twice is injected twice as often.</summary>
    public IReadOnlyList<FaultKind> Faults { get; init; } = FaultInjector.Usual;

    /// <summary>How many silos are away at once, at most.</summary>
    public int MostAway { get; init; } = 2;

    /// <summary>Whether the silos are deliberately broken: their stale activations may answer.</summary>
    public bool Broken { get; init; }

    /// <summary>Whether C programs are clients too. A lease must be longer then than a silo may be away.</summary>
    public bool Programs { get; init; }

    /// <summary>Whether a second cluster that knows nothing of the first has its journals in the same store. The clients of each are refused the other's contexts.</summary>
    public bool OtherCluster { get; init; }

    /// <summary>Whether the histories and what the silos printed are kept where there is no violation.</summary>
    public bool Keep { get; init; }

    /// <summary>Whether a hostile client attacks the gateways and the silos' ports.</summary>
    public bool Hostile { get; init; }

    /// <summary>The connection string of a database that no fault is injected into; null to start one for the run.</summary>
    public string? Database { get; init; }
}
