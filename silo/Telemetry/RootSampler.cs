using IommuFd.GrainInterfaces;
using OpenTelemetry.Trace;

namespace IommuFd.Silo.Telemetry;

/// <summary>
/// Keeps every root of ours, since only those are made that were chosen before (<see cref="RootSampling"/>), and the same share of others' roots.
/// </summary>
internal sealed class RootSampler(double ratio) : Sampler
{
    private readonly TraceIdRatioBasedSampler _others = new(ratio);

    public override SamplingResult ShouldSample(in SamplingParameters samplingParameters)
        => samplingParameters.Name.StartsWith(CallSpan.Prefix, StringComparison.Ordinal) ? new SamplingResult(SamplingDecision.RecordAndSample) : _others.ShouldSample(samplingParameters);
}
