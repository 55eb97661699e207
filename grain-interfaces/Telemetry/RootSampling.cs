using System.Globalization;
using System.Runtime.CompilerServices;

namespace IommuFd.GrainInterfaces;

// Asking an OpenTelemetry sampler requires drawing a trace id, and a rejected root still creates an activity: half a microsecond and some
// hundred bytes, a quarter of an ioctl. So requests outside any trace are chosen here, and a sampler sees only the chosen ones and keeps
// them all.

/// <summary>Chooses which requests outside any trace begin one.</summary>
internal static class RootSampling
{
    /// <summary>
    /// The default share. A traced ioctl takes some tens of microseconds more on both sides, which averages one hundredth of an ioctl at
    /// this share.
    /// </summary>
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

    /// <summary>Decides whether this request begins a trace.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Choose() => _takesAll || SampleEvery.Take(ref _left, _ratio);

    /// <summary>The share that OpenTelemetry's environment variables ask for.</summary>
    /// <param name="sampler"><c>OTEL_TRACES_SAMPLER</c>.</param>
    /// <param name="argument"><c>OTEL_TRACES_SAMPLER_ARG</c>.</param>
    public static double FromEnvironment(string? sampler, string? argument) => sampler?.ToUpperInvariant() switch
    {
        "ALWAYS_ON" or "PARENTBASED_ALWAYS_ON" => 1,
        "ALWAYS_OFF" or "PARENTBASED_ALWAYS_OFF" => 0,
        "PARENTBASED_TRACEIDRATIO" => double.TryParse(argument, NumberStyles.Float, CultureInfo.InvariantCulture, out var ratio) && ratio is >= 0 and <= 1 ? ratio : 1,

        // This sampler decides by the trace id, whatever a parent says, so it must see every request.
        "TRACEIDRATIO" => 1,
        _ => DefaultRatio,
    };
}
