using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Viommus;

/// <summary>Why an invalidation failed.</summary>
internal static class InvalidationDiagnostics
{
    public static IoctlDiagnostic Of(Errno errno, in InvalidationEntries entries, uint done)
        => errno == Errno.EINVAL && done == 0 && entries.Count == 0
            ? Failure.Because(DiagnosticReason.WrongEntryKind, (uint)entries.Type)
            : Failure.Because(DiagnosticReason.InvalidEntry, done);
}
