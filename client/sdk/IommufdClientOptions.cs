using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>How an <see cref="IommufdClient"/> sends requests, and the defaults for what it opens.</summary>
public sealed class IommufdClientOptions
{
    /// <summary>
    /// How long to repeat a request that gets no answer, counted from its first attempt. The service runs each request once, however often it is sent. After this time, and when
    /// its last attempt has timed out, a request fails with an <see cref="IommufdTransportException"/>. Zero sends each request once. The default is 30 seconds.
    /// </summary>
    public TimeSpan RetryFor { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long to wait for an answer before the request is sent again. The default is 1 second. A request that merely takes longer is not run twice: its repeats get the
    /// answer of its first run. A long answer of a batch comes in parts of about 1 MiB, each with attempts of its own.
    /// </summary>
    public TimeSpan AttemptTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The pause before the first repeat of a failed request. It doubles with each failure, and is shortened at random by up to half. The default is 20 ms.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>The longest pause between repeats. The default is 500 ms.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The mode for contexts that are opened without one; null takes the service's default.</summary>
    public ContextMode? DefaultMode { get; init; }

    /// <summary>The opener's name for files that are opened without one: 1 to <see cref="IoctlLimits.MaxNameLength"/> characters.</summary>
    public string Name { get; init; } = "sdk";

    /// <summary>How the client proves who it is to a gateway by TCP, and which gateways it trusts. Unused by a Unix socket or a grain factory.</summary>
    public GatewayCredentials? Credentials { get; init; }

    /// <summary>The clock for timeouts, pauses and leases. The default is the system's; tests can set another.</summary>
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
