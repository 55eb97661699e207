using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>How an <see cref="IommufdClient"/> sends requests, and what it opens where it is not told otherwise.</summary>
public sealed class IommufdClientOptions
{
    /// <summary>
    /// How long a request that gets no answer is sent again, from when it was first sent. Each request is done once, however often it is sent. Behind that it is
    /// given up with an <see cref="IommufdTransportException"/>, as soon as its last attempt has had its time. Zero sends each request once. 30 seconds unless said otherwise.
    /// </summary>
    public TimeSpan RetryFor { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long an answer is waited for before the request is sent again. 2 seconds unless said otherwise. A request that only takes longer than that does no
    /// harm: it is answered what its first run was answered.
    /// </summary>
    public TimeSpan AttemptTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>The pause before a request that failed is sent again; twice as long with each failure, and up to half of it cut at random. 20 ms unless said otherwise.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>The longest such pause. 500 ms unless said otherwise.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The mode of contexts that are opened without one; null takes the service's default.</summary>
    public ContextMode? DefaultMode { get; init; }

    /// <summary>Who opens files without saying so, for people: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</summary>
    public string Name { get; init; } = "sdk";

    /// <summary>The clock of timeouts, pauses and leases: the system's, unless a test has another.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    internal IommufdClientOptions Validated()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(RetryFor, TimeSpan.Zero, nameof(RetryFor));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(RetryFor, TimeSpan.FromDays(1), nameof(RetryFor));
        ArgumentOutOfRangeException.ThrowIfLessThan(AttemptTimeout, TimeSpan.FromMilliseconds(10), nameof(AttemptTimeout));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(AttemptTimeout, TimeSpan.FromDays(1), nameof(AttemptTimeout));
        ArgumentOutOfRangeException.ThrowIfLessThan(Backoff, TimeSpan.Zero, nameof(Backoff));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxBackoff, Backoff, nameof(MaxBackoff));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxBackoff, TimeSpan.FromDays(1), nameof(MaxBackoff));
        ArgumentNullException.ThrowIfNull(Name);
        ArgumentNullException.ThrowIfNull(TimeProvider);
        return this;
    }
}
