using IommuFd.GrainInterfaces;
using OpenTelemetry.Trace;

namespace IommuFd.Silo.Telemetry;

/// <summary>
/// Keeps every root span of this project, since <see cref="RootSampling"/> has already chosen those that exist, and the same share of other
/// roots.
/// </summary>
internal sealed class RootSampler(double ratio) : Sampler
{
    private readonly TraceIdRatioBasedSampler _others = new(ratio);

    public override SamplingResult ShouldSample(in SamplingParameters samplingParameters)
        => samplingParameters.Name.StartsWith(CallSpan.Prefix, StringComparison.Ordinal) ? new SamplingResult(SamplingDecision.RecordAndSample) : _others.ShouldSample(samplingParameters);
}
