using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

/// <summary>The rules that most requests follow.</summary>
internal static class ChangeRules
{
    /// <summary>The request only reads.</summary>
    public static bool Never(object request, Errno errno) => false;

    /// <summary>The request changes the context where it succeeds, and nothing where it fails.</summary>
    public static bool OnSuccess(object request, Errno errno) => errno == Errno.None;

    /// <summary>The request may have changed the context although it failed.</summary>
    public static bool Always(object request, Errno errno) => true;
}
