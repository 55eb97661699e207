using System.Globalization;
using System.Runtime.CompilerServices;

namespace IommuFd.GrainInterfaces;

// OpenTelemetry's samplers are asked with a trace id, which must be drawn for it, and answer a root that is dropped with an activity all the same: half a microsecond and
// some hundred bytes, a quarter of an ioctl. So what belongs to no trace is chosen here, and only the chosen are shown to a sampler, which keeps them all.

/// <summary>Chooses which of the requests that belong to no trace begin one.</summary>
internal static class RootSampling
{
    /// <summary>The share where nobody says otherwise. A traced ioctl takes some tens of microseconds more on both sides, which is one hundredth of one ioctl when spread over so many.</summary>
    public const double DefaultRatio = 0.00025;

    [ThreadStatic]
    private static int _left;

    private static double _ratio = FromEnvironment(Environment.GetEnvironmentVariable("OTEL_TRACES_SAMPLER"), Environment.GetEnvironmentVariable("OTEL_TRACES_SAMPLER_ARG"));
    private static volatile bool _takesAll = _ratio >= 1;

    /// <summary>The share.</summary>
    public static double Ratio
    {
        get => Volatile.Read(ref _ratio);
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 1);
            Volatile.Write(ref _ratio, value);
            _takesAll = value >= 1;
        }
    }

    /// <summary>Whether this one begins a trace.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Choose() => _takesAll || SampleEvery.Take(ref _left, _ratio);

    /// <summary>The share that the variables of OpenTelemetry's specification ask for.</summary>
    /// <param name="sampler"><c>OTEL_TRACES_SAMPLER</c>.</param>
    /// <param name="argument"><c>OTEL_TRACES_SAMPLER_ARG</c>.</param>
    public static double FromEnvironment(string? sampler, string? argument) => sampler?.ToUpperInvariant() switch
    {
        "ALWAYS_ON" or "PARENTBASED_ALWAYS_ON" => 1,
        "ALWAYS_OFF" or "PARENTBASED_ALWAYS_OFF" => 0,
        "PARENTBASED_TRACEIDRATIO" => double.TryParse(argument, NumberStyles.Float, CultureInfo.InvariantCulture, out var ratio) && ratio is >= 0 and <= 1 ? ratio : 1,

        // It decides by the trace id whatever a parent says, so that it must see all of them.
        "TRACEIDRATIO" => 1,
        _ => DefaultRatio,
    };
}
