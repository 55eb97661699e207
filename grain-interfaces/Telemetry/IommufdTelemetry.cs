using System.Diagnostics;
using System.Reflection;

namespace IommuFd.GrainInterfaces;

/// <summary>What the SDK and the silos tell about what they do: the names to subscribe to with OpenTelemetry, and how much of it there is.</summary>
/// <remarks>
/// An application that uses the SDK gets its spans with <c>AddSource(IommufdTelemetry.SourceName)</c>. Each ioctl that is issued within a recorded activity has a span, and so has
/// what the silos do for it, where they trace too. Nothing is traced, and next to nothing spent, where nobody listens.
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
    /// Of the requests that belong to no trace, the share that begins one: 0 to 1. By default 0.00025; where <c>OTEL_TRACES_SAMPLER</c> is set, what it says (see docs/operations.md).
    /// Who begins no trace asks no sampler, so that untraced requests stay cheap.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">It is no share.</exception>
    public static double RootRatio
    {
        get => RootSampling.Ratio;
        set => RootSampling.Ratio = value;
    }
}
