using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>How an <see cref="IommufdClient"/> behaves.</summary>
public sealed class IommufdClientOptions
{
    /// <summary>The mode of contexts that are opened without one; null takes what the silo does by default.</summary>
    public ContextMode? DefaultMode { get; set; }

    /// <summary>
    /// How long a request that gets no answer is sent again, under the same name, so that it is done once however often it is sent. Zero sends it once. 30 s by
    /// default: longer than a cluster takes to find out that a silo is dead.
    /// </summary>
    public TimeSpan RetryFor { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The pause before a request is sent again; it doubles each time, up to <see cref="MaxBackoff"/>, and varies by half. 20 ms by default.</summary>
    public TimeSpan Backoff { get; set; } = TimeSpan.FromMilliseconds(20);

    /// <summary>The longest such pause. 500 ms by default.</summary>
    public TimeSpan MaxBackoff { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; set; } = TimeProvider.System;
}
