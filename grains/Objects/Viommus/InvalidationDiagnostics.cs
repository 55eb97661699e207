using IommuFd.GrainInterfaces;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Viommus;

/// <summary>Why an invalidation failed.</summary>
internal static class InvalidationDiagnostics
{
    /// <summary>Names the rule that gave the errno.</summary>
    /// <param name="errno">The errno.</param>
    /// <param name="format">The entries that the object takes; null where it takes none.</param>
    /// <param name="entries">The entries that came.</param>
    /// <param name="done">How many were carried out.</param>
    public static IoctlDiagnostic Of(Errno errno, InvalidationFormat? format, in InvalidationEntries entries, uint done)
    {
        if (format is not { } known)
        {
            return Failure.Because(DiagnosticReason.NotInvalidatable);
        }

        if (entries.Type != known.Type)
        {
            return Failure.Because(DiagnosticReason.WrongEntryKind, (uint)entries.Type);
        }

        return errno switch
        {
            Errno.EFAULT => Failure.Because(DiagnosticReason.BufferFault, (ulong)entries.Content.Length, (ulong)entries.Count * entries.Length),
            Errno.E2BIG => Failure.Because(DiagnosticReason.UnknownBytesNotZero, entries.Length, (ulong)known.Bytes),
            _ when entries.Count == 0 => Failure.Because(DiagnosticReason.NoEntries),
            Errno.EINVAL when known.IsExact && entries.Length != known.Bytes => Failure.Because(DiagnosticReason.WrongEntryLength, entries.Length, (ulong)known.Bytes),
            _ => Failure.Because(DiagnosticReason.InvalidEntry, done),
        };
    }
}
