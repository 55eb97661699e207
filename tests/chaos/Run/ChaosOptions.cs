namespace IommuFd.Chaos.Run;

/// <summary>How large a run is.</summary>
internal sealed record ChaosOptions
{
    /// <summary>How long faults are injected.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>Where all that is random comes from. What the machine does in between is not in it.</summary>
    public required int Seed { get; init; }

    /// <summary>Silos, in processes of their own.</summary>
    public int Silos { get; init; } = 3;

    /// <summary>Processes of clients.</summary>
    public int ClientProcesses { get; init; } = 3;

    /// <summary>Clients on each context in each of these processes.</summary>
    public int Workers { get; init; } = 2;

    /// <summary>Contexts at a time.</summary>
    public int Contexts { get; init; } = 4;

    /// <summary>Ioctls that each client issues on a context.</summary>
    public int Ioctls { get; init; } = 200;

    /// <summary>How long a reference lives without a sign of life.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a request may take before it counts as one that does not end: the SDK gives one up after 30 s, and opening and closing may take that each before and after.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(3);

    /// <summary>Whether the silos are broken on purpose: their stale activations may answer.</summary>
    public bool Broken { get; init; }

    /// <summary>Where the database is; null to start one.</summary>
    public string? Database { get; init; }
}
