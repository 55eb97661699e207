using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.Reasons;

/// <summary>A failure, and what must be said of it.</summary>
/// <param name="What">What fails.</param>
/// <param name="Errno">Its errno.</param>
/// <param name="Reason">The rule that failed.</param>
/// <param name="Says">The whole sentence.</param>
/// <param name="Ask">Makes it fail.</param>
internal sealed record Row(string What, Errno Errno, DiagnosticReason Reason, string Says, Func<World, (Errno Errno, IoctlDiagnostic? Diagnostic)> Ask)
{
    public ulong Value { get; init; }

    public ulong Limit { get; init; }

    /// <summary>The object that it is about.</summary>
    public uint Id { get; init; }

    public IovaRange? Overlap { get; init; }
}
