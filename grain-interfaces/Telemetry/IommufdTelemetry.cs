using System.Diagnostics;
using System.Reflection;

namespace IommuFd.GrainInterfaces;

/// <summary>
/// The telemetry of the SDK and the silos: the names to subscribe to with OpenTelemetry, and the share of requests that are traced.
/// </summary>
/// <remarks>
/// An application that uses the SDK gets its spans with <c>AddSource(IommufdTelemetry.SourceName)</c>. Each ioctl issued within a recorded
/// activity has a span, and so has the silos' work for it, if they trace too. Without a listener nothing is traced, at next to no cost.
/// </remarks>
public static class IommufdTelemetry
{
    /// <summary>The name of the <see cref="ActivitySource"/> of clients and silos.</summary>
    public const string SourceName = "IommuFd";

    /// <summary>The name of the silos' meter.</summary>
    public const string MeterName = "IommuFd";

    /// <summary>The source itself.</summary>
    internal static readonly ActivitySource Source = new(SourceName, typeof(IommufdTelemetry).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0]);

    /// <summary>
    /// The share of requests outside any trace that begin one: 0 to 1. The default is 0.00025, or what <c>OTEL_TRACES_SAMPLER</c> says if
    /// it is set (see docs/operations.md). Requests that begin no trace ask no sampler, so untraced requests stay cheap.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not between 0 and 1.</exception>
    public static double RootRatio
    {
        get => RootSampling.Ratio;
        set => RootSampling.Ratio = value;
    }
}
