using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

/// <summary>The first check of pre-validation that failed; errno 0 where the request passed them all.</summary>
internal readonly record struct PrevalidationResult(Errno Errno, DiagnosticReason Reason, ulong Value, ulong Limit = 0);
