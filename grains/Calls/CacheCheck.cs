using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

/// <summary>Compares an entry of an emulated cache with what a test expects there.</summary>
internal static class CacheCheck
{
    /// <summary>EINVAL where there is no such entry, or it has something else.</summary>
    /// <param name="cache">The cache.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="expected">What it should have.</param>
    /// <param name="other">The reason where it has something else.</param>
    public static ObjectReply Run(ReadOnlySpan<uint> cache, uint entry, uint expected, DiagnosticReason other)
    {
        if (entry >= (uint)cache.Length)
        {
            return ObjectReply.Failed(Errno.EINVAL, Failure.Because(DiagnosticReason.NoCacheEntry, entry, (ulong)cache.Length));
        }

        var actual = cache[(int)entry];
        return actual == expected ? new ObjectReply(Errno.None, actual) : ObjectReply.Failed(Errno.EINVAL, Failure.Because(other, actual));
    }
}
